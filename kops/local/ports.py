"""Ports for a new cluster: the usual ones, or the next that are free."""

import socket
from collections.abc import Collection

from kops.errors import Failed

HOST = "127.0.0.1"


def free(port: int) -> bool:
    """Whether a server could listen there now, on this address and on every address."""
    for host in (HOST, ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
            except OSError:
                return False
    return True


def choose(first: int, count: int, taken: Collection[int] = ()) -> list[int]:
    """``count`` free ports from ``first`` upward. Raises Failed when a thousand are taken."""
    found: list[int] = []
    for port in range(first, first + 1000):
        if port not in taken and free(port):
            found.append(port)
            if len(found) == count:
                return found
    raise Failed(f"no {count} free ports from {first} on", "Stop something, or say --port.")
