"""The race on disk: one SQLite file."""
