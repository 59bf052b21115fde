"""The study: the paper's claims at a size that a laptop finishes, each with its interval and its verdict."""
