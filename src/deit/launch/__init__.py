"""How a job's processes come to be: one sweep job is one process group."""
