"""What is told of a race beyond this machine: when, from what, and what is taken out of it."""
