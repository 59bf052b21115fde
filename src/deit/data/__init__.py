"""From files to batches; every random choice is a function of (seed, view, index)."""
