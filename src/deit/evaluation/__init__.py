"""What is reported of a network: pure functions of its logits, and exact averages over images and devices."""
