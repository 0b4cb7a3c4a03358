"""Metrics that a training writes anyway: its log, CSV and event files, a trainer's state."""
