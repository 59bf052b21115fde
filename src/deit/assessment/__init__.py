"""What src/evaluate.py does: checkpoints on data sets, head by head."""
