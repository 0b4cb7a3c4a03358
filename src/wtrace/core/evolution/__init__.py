"""The rules by which events change a race, one file for each part of its story.

A rule is called as its event is, in lower case, and the event's class says what happened.
"""
