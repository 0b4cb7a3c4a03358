"""The approaches of the shipped race: each the files that its branch has instead of the base's; see `commit.py`."""
