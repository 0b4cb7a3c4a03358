"""A quick look at git's index, without git. Of the standard library only `os`: `wtrace status` asks here first."""

from __future__ import annotations

import os


def may_hold(git_dir: str, name: str) -> bool:
    """Whether the index may hold a path with that name in it; False is certain, True means that git must be asked."""
    try:
        with open(os.path.join(git_dir, "index"), "rb") as file:  # noqa: PTH118, PTH123 (pathlib costs too much)
            index = file.read()
        names = os.listdir(git_dir)  # noqa: PTH208
    except FileNotFoundError:
        return False
    except OSError:
        return True
    # From version 4 on names are cut short, and a split index keeps most of them in another file.
    whole = index[4:8] in (b"\0\0\0\2", b"\0\0\0\3")
    split = any(entry.startswith("sharedindex.") for entry in names)
    return not whole or split or name.encode() in index
