"""The start of a worker's guardian (`shim_life.py`): `python -I -S shim.py …`, run by absolute path.

Python compiles the file that it is started with each time, and keeps only what is imported: so this one is short.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtrace.runners.shim import shim_life
else:
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # behind the standard library
    import shim_life

if __name__ == "__main__":
    os._exit(shim_life.main())  # without the 2 ms of taking an interpreter down
