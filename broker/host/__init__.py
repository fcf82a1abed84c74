"""The doors to the machine: everything that differs between a real machine and a simulated one enters here.

One :class:`Host` per broker and per ZooKeeper server. Nobody else imports time, random, uuid, socket or threading,
or calls ``open``. ``tests/sim`` implements the same protocols on virtual time, an in-memory network and a disk that
keeps only what was synced.
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.host.clock import Clock, RealClock, Timer
from broker.host.dice import Dice, RealDice
from broker.host.files import File, Files, FileStat, LogDirFailed, RealFiles
from broker.host.net import Listener, Net, RealNet
from broker.host.workers import RealWorkers, Workers

__all__ = [
    "Clock",
    "Dice",
    "File",
    "FileStat",
    "Files",
    "Host",
    "Listener",
    "LogDirFailed",
    "Net",
    "Timer",
    "Workers",
    "real_host",
]


@dataclass(frozen=True, slots=True)
class Host:
    """The five doors of one process."""

    clock: Clock
    net: Net
    files: Files
    workers: Workers
    dice: Dice


def real_host() -> Host:
    """The doors of the machine this process runs on."""
    workers = RealWorkers()
    return Host(RealClock(), RealNet(), RealFiles(), workers, RealDice())
