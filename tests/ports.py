"""Ports for the servers of tests, each given once on this machine, whoever else runs tests at the same time.

They lie below the range from which the system takes the ports of outgoing connections, since a server that is started
again needs its port again. A port is reserved with a lock on the byte of its number in one file, which ends with this
process: a look whether a port is free says nothing about who binds it next.
"""

from __future__ import annotations

import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path

_FIRST, _LAST = 12_000, 32_000
_given: set[int] = set()


@functools.cache
def _locks() -> int:
    """One descriptor for as long as the process lives: closing any other one of this file would drop the locks."""
    return os.open(Path(tempfile.gettempdir()) / f"kops-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)


def _reserved(port: int) -> bool:
    if port in _given:
        return False  # a process is never refused its own lock
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _given.add(port)
    return True


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of the loopback that nobody else gets."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of ``count`` ports in a row."""
    while True:
        first = random.randrange(_FIRST, _LAST - count)
        if all(_reserved(port) and _bindable(port) for port in range(first, first + count)):
            return first
