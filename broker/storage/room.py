"""Whether there is room on the disk of a log directory: one that was full is used again once there is.

Apache Kafka treats a full disk as a failed one: the directory is lost until somebody starts the broker again, and with
the last one the broker ends.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from broker.host import Files

LEAST: Final = 8 << 20
MOST: Final = 512 << 20
SHARE: Final = 50


def is_full(files: Files, path: str, error: OSError) -> bool:
    """Whether ``error`` says that the disk is full, and it is: quotas and limits of file sizes show in no figure."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT) and not has_room(files, path)


def has_room(files: Files, path: str) -> bool:
    """A fiftieth of the disk, within 8 MiB and 512 MiB."""
    try:
        total, usable = files.usage(path)
    except OSError:
        return False
    return usable >= max(LEAST, min(total // SHARE, MOST))
