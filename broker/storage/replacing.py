"""A segment that is missing, or of which nothing can be used, made anew of what another replica has.

It is written beside the log, under a name that is removed at the next start, and takes its place in one go.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from broker.host import File
from broker.host.files import append_all
from broker.storage.damage import BEFORE
from broker.storage.segment import LOG, Hole, Segment
from broker.wire import batch as batches

if TYPE_CHECKING:
    from broker.storage.log import Log

logger = logging.getLogger(__name__)

UNFINISHED = ".tmp"


class Replacement:
    """For records [``offset``, ``following``) of ``log``: give it what the other replica sends, then :meth:`put`.

    ``segment`` is what it replaces, or, where ``hole`` is a file that is gone, its neighbour. May raise OSError.
    """

    def __init__(self, log: Log, segment: Segment, hole: Hole) -> None:
        is_missing = hole.position == BEFORE or hole.position == hole.end == segment.size
        at = log.segments.index(segment)
        following = log.segments[at + 1].base if at + 1 < len(log.segments) else segment.base
        self.segment = segment
        self.is_missing = is_missing
        self.base = self.offset = hole.first if is_missing else segment.base
        self.following = hole.following if is_missing else following
        self._hole = hole
        self._log = log
        self._size = 0
        self._path = f"{log.directory}/{self.base:020d}{LOG}"
        files = log.dir.files
        self._file: File = files.open(self._path + UNFINISHED, create=True)
        self._file.truncate(0)

    @property
    def is_possible(self) -> bool:
        """The last segment is written to: it cannot be replaced."""
        return self.is_missing or self.segment is not self._log.segments[-1]

    @property
    def is_complete(self) -> bool:
        return self.offset >= self.following

    def take(self, records: batches.Buffer) -> bool:
        """Append sound batches up to the end of the segment; whether that brought it any further."""
        before, taken = self.offset, 0
        for at, head in batches.headers(records):
            if head.base_offset >= self.following:
                self.offset = self.following  # nothing more belongs here
                break
            fits = head.magic == 2 and self.offset <= head.base_offset and head.next_offset <= self.following
            if not fits or not batches.crc_matches(records, at):
                break
            taken, self.offset = at + head.size, head.next_offset
        append_all(self._file, memoryview(records)[:taken])
        self._size += taken
        return self.offset > before

    async def put(self) -> bool:
        """Let it take its place, unless the log has changed meanwhile."""
        log, segment, files = self._log, self.segment, self._log.dir.files
        await self._file.sync()
        self._file.close()
        if segment not in log.segments or segment.holes.get(self._hole.position) is not self._hole:
            files.unlink(self._path + UNFINISHED)
            return False
        at = log.segments.index(segment)
        if not self.is_missing:
            log.discard([segment])
        files.rename(self._path + UNFINISHED, self._path)
        made = Segment(files, log.dir.open_files, log.directory, self.base, self._size)
        made.created_ms, made.gappy = segment.created_ms, segment.gappy
        made.rebuild_indexes(log.config.index_interval_bytes)
        if self.is_missing:
            segment.holes = {place: each for place, each in segment.holes.items() if each is not self._hole}
            log.segments.insert(at if self._hole.position == BEFORE else at + 1, made)
        else:
            made.holes = {BEFORE: segment.holes[BEFORE]} if BEFORE in segment.holes else made.holes
            log.segments[at] = made
        log.positions.forget()
        logger.warning(
            "%s-%d: offsets [%d, %d) are another replica's now", log.topic, log.partition, self.base, self.following
        )
        return True

    def give_up(self) -> None:
        self._file.close()
        self._log.dir.files.unlink(self._path + UNFINISHED)
