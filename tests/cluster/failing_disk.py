"""A disk that fails under one real process: a small library, preloaded, that has its system calls fail on command."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from enum import IntFlag
from pathlib import Path

from tests.cluster.processes import Process

SOURCE = Path(__file__).with_suffix(".c")
PAGE = 4096
HAS_COMPILER = shutil.which("gcc") is not None


class Calls(IntFlag):
    """Which system calls fail: those that write data, sync, read, or change names and lengths."""

    WRITE = 1
    SYNC = 2
    READ = 4
    CHANGE = 8
    ANY_CHANGE = WRITE | SYNC | CHANGE


def library(directory: Path) -> Path:
    """Compiled in ``directory`` unless it is there."""
    made = directory / "failing_disk.so"
    if not made.exists():
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-o", made, SOURCE, "-ldl"], check=True)
    return made


class FailingDisk:
    """The disk under ``folder`` for ``process``, which must be given it before it starts. Its children have it, too."""

    def __init__(self, process: Process, folder: Path) -> None:
        control = process.directory / f"{process.name}.failing"
        control.write_bytes(struct.pack("ii", 0, 0) + os.fsencode(f"{folder}/").ljust(PAGE - 8, b"\0"))
        with control.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), PAGE)
        process.environment = {"LD_PRELOAD": str(library(process.directory)), "KOPS_TEST_FAILING_DISK": str(control)}

    def fail(self, error: int, calls: Calls) -> None:
        """These calls fail with this errno from now on."""
        self._page[4:8] = struct.pack("i", calls)
        self._page[:4] = struct.pack("i", error)

    def heal(self) -> None:
        self._page[:4] = struct.pack("i", 0)
