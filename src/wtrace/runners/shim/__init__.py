"""The guardian of one worker, run by path with the standard library alone."""
