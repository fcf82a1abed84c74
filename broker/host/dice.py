"""Dice: random numbers and ids, so that a simulation can seed them."""

from __future__ import annotations

import os
import random
import uuid
from typing import Protocol


class Dice(Protocol):
    """``random`` for jitter and shuffles; ``uuid`` and ``token`` for ids and secrets."""

    random: random.Random

    def uuid(self) -> uuid.UUID: ...

    def token(self, size: int) -> bytes: ...


class RealDice:
    """Seeded by the operating system."""

    def __init__(self) -> None:
        self.random = random.Random()

    def uuid(self) -> uuid.UUID:
        return uuid.uuid4()

    def token(self, size: int) -> bytes:
        """``size`` unpredictable bytes."""
        return os.urandom(size)
