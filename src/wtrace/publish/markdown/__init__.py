"""The progress page and the reports."""
