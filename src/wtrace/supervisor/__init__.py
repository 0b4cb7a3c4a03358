"""One loop: wait for something to happen, take note, decide, act."""
