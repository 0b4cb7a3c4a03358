"""What becomes of checkpoints: waited for, copied, judged whole, removed."""
