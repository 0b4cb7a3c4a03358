"""An open file as a value. Shipped to nodes, so that it needs next to nothing."""

from __future__ import annotations

from wtrace.data import data

FileId = tuple[int, int]
"""Device and inode: what stays the same while a file is renamed."""


@data
class OpenFile:
    """A regular file that some process holds open for writing, as it was when it was looked at.

    `position` is the furthest of those who hold it open (bytes; 0 for writes through `pwrite` or a mapping).
    """

    path: str
    device: int
    inode: int
    size: int  # bytes
    modified_ns: int
    position: int
    appends: bool  # opened with O_APPEND, as logs are and no checkpoint is

    @property
    def identity(self) -> FileId:
        """Device and inode: what stays the same while the file is renamed."""
        return self.device, self.inode
