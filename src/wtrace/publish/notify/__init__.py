"""Notices: what is worth one, and how it is sent."""
