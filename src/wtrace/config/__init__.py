"""What a race is to be: read, checked and written. Pure."""
