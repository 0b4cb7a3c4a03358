"""A file for each command, or family of commands: parse, call, render."""
