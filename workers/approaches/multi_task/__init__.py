"""Multi-task: say as well for how long each object is seen

Hypothesis: an object's duration can only be told by looking at its other frames. A second head estimates it, and the
same features have to serve both tasks.
"""
