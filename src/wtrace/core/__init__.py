"""The rules of a race: pure functions of what happened. No input or output, no clock, no process."""
