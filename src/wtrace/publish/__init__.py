"""What is told about a race: the progress page and the reports."""
