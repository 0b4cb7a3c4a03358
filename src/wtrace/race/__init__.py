"""A race as a value: what happened, what it amounts to, what is to be done. Pure."""
