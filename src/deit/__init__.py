"""deit: the laboratory for data-efficient image transformers (arXiv 2012.12877)."""
