"""What workers report: the form of a record, the reader that follows the files, and the Reporter."""
