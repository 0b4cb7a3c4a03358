"""A `[metrics]` table proposed from what a training printed or wrote."""
