"""Warm memory for the page cache: on a virtual machine, memory that was not used for seconds is not there.

The balloon of a virtual machine gives free pages back to the host (free page reporting) after two seconds; the first
write to such a page then takes 3 to 8 ms a MB instead of 0.3, in whichever broker it happens. So that it is the broker
that is measured, a file in memory holds pages while nothing is measured, and lets go of them when a load begins.
"""

from __future__ import annotations

import os

import psutil

HELD = 4 << 30
_PIECE = bytes(1 << 20)


class WarmMemory:
    """Up to 4 GB, at most a third of what is available."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._size = min(HELD, psutil.virtual_memory().available // 3)

    def hold(self) -> None:
        """Take what is free, and warm it; does nothing while it is held."""
        if self._file is not None or not hasattr(os, "memfd_create"):
            return  # not Linux: nobody takes free pages away
        self._file = os.memfd_create("warm")
        for _ in range(self._size // len(_PIECE)):
            os.write(self._file, _PIECE)

    def release(self) -> None:
        """Leave it to the brokers."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


WARM = WarmMemory()
"""One for the whole run: loads release it, and it is held again between them."""
