"""Places where a worker's process can run."""
