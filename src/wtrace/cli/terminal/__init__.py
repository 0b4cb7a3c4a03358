"""What a person sees on a terminal: the table, the live view, logs."""
