"""Why connections were closed, told in the log, but not as often as a hostile client has it closed.

Kafka writes some lines for each bad frame: 38 000 for 20 000 of them, measured here. Whoever looks for the one broken
client finds it in the first lines; then only the number matters.
"""

from __future__ import annotations

import logging
from typing import Final

log = logging.getLogger("broker.network.connection")  # whom it is about

MOST_LINES: Final = 20
"""Lines between two calls of ``sweep``, which come every ten seconds or so."""
MOST_CHARACTERS: Final = 500


class Complaints:
    """Counts what is not told, and tells the number."""

    def __init__(self) -> None:
        self._told = 0
        self._untold = 0

    def closed(self, name: str, reason: str) -> None:
        """The connection ``name`` was closed by us."""
        if self._told >= MOST_LINES:
            self._untold += 1
            return
        self._told += 1
        log.info("%s closed: %s", name, reason if len(reason) <= MOST_CHARACTERS else f"{reason[:MOST_CHARACTERS]}...")

    def sweep(self) -> None:
        """Some seconds have passed."""
        if self._untold:
            log.info("%d more connections were closed for reasons like these", self._untold)
        self._told = self._untold = 0
