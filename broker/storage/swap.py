"""A cleaned segment takes the place of those it was made from (LocalLog.replaceSegments; facts E.7.10, E.8).

Cleaned files are renamed ``.swap`` (the ``.log`` last: from then on recovery completes the swap), the old ones
``.deleted``, then ``.swap`` goes. Everything here is plain ``def``: readers see the old segments or the new one.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from broker.host.files import sync_file
from broker.storage.segment import CLEANED, DELETED, INDEX, LOG, SNAPSHOT, SWAP, TIME_INDEX, TXN_INDEX, Segment

if TYPE_CHECKING:
    from broker.host import Files
    from broker.storage.log import Log

INDEXES = (INDEX, TIME_INDEX, TXN_INDEX)


def swap_in(log: Log, old: list[Segment], size: int) -> Segment:
    """Replace ``old``, neighbours in ``log``, by the synced ``.cleaned`` files at the first one's base. Raises OSError.

    Producer snapshots of bases that go with it go too, as in Kafka.
    """
    files, first = log.dir.files, old[0]
    present = [suffix for suffix in (*INDEXES, LOG) if files.stat(first.path(suffix) + CLEANED) is not None]
    for suffix in present:
        files.rename(first.path(suffix) + CLEANED, first.path(suffix) + SWAP)
    gone = []
    for segment in old:
        segment.close()
        for suffix in (LOG, *INDEXES, *((SNAPSHOT,) if segment is not first else ())):
            path = segment.path(suffix)
            if files.stat(path) is not None:
                files.rename(path, path + DELETED)
                gone.append(path + DELETED)
    for suffix in reversed(present):
        files.rename(first.path(suffix) + SWAP, first.path(suffix))
    made = Segment(files, log.dir.open_files, log.directory, first.base, size)
    made.created_ms = old[-1].created_ms
    at = log.segments.index(first)
    log.segments[at : at + len(old)] = [made]
    log.positions.moved()
    log.dir.remove_later(gone, log.config.file_delete_delay_ms)
    return made


async def sync_cleaned(files: Files, first: Segment) -> None:
    """fsync the ``.cleaned`` files at ``first``'s base. Raises OSError."""
    for suffix in (LOG, *INDEXES):
        path = first.path(suffix) + CLEANED
        if files.stat(path) is not None:
            await sync_file(files, path)


def discard_cleaned(files: Files, directory: str) -> None:
    """Remove the files of a clean that came to nothing. Raises OSError."""
    if files.stat(directory) is None:
        return
    for name in files.listdir(directory):
        if name.endswith(CLEANED):
            with contextlib.suppress(FileNotFoundError):
                files.unlink(f"{directory}/{name}")
