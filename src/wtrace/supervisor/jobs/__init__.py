"""What runs for a race: prepared, started, followed and read."""
