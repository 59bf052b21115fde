"""How a teacher's answer becomes a loss, and where the answer comes from."""
