"""Warm memory for the page cache: on a virtual machine, memory that was not used for seconds is not there.

The balloon of a virtual machine gives free pages back to the host (free page reporting) after two seconds; the first
write to such a page then takes 2 to 8 ms a MB instead of 0.2, in whichever broker it happens. So that it is the broker
that is measured, pages are used and freed again right before a load: those that were freed last are taken first.
"""

from __future__ import annotations

import os
import tempfile

import psutil

_PIECE = bytes(range(256)) * 4096
"""Not zeros: pages of nothing but zeros were taken back at once, and the load met them cold (2500 µs a MB, not 200)."""


def warm(size: int) -> None:
    """Write ``size`` bytes, at most a third of what is available, to a file, and remove it: 0.2 s a GB if warm."""
    size = min(size, psutil.virtual_memory().available // 3)
    with tempfile.TemporaryFile(prefix="kops-bench-") as file:
        for _ in range(size // len(_PIECE)):
            os.write(file.fileno(), _PIECE)
