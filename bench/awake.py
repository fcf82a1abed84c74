"""Keeps the processors of a virtual machine awake while something is measured.

An idle virtual processor halts, and the host takes it away; waking it takes 30 to 50 µs, several times what the request
does that wakes it, in whichever broker (on hardware it is a few). One process per processor therefore spins, in the
scheduling class that yields to everybody else at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SPIN = "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile os.getppid() != 1: pass\n"


@contextmanager
def awake(wanted: bool) -> Iterator[None]:
    """Where the system has such a class (Linux) and it is wanted."""
    spinning: list[subprocess.Popen[bytes]] = []
    if wanted and hasattr(os, "SCHED_IDLE"):
        spinning = [subprocess.Popen([sys.executable, "-S", "-c", _SPIN]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
