"""The partitions of an internal topic that this broker coordinates, and how their records are appended and loaded.

A shard is one partition that this broker leads (GroupMetadataManager.ownedPartitions, loadingPartitions). Everything in
memory about it was either appended to its log or read from it; it is dropped when the leadership goes elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from broker.wire import batch as batches
from broker.wire.records import Record, read_control, read_records

if TYPE_CHECKING:
    from broker.storage.log import Log

LOAD_BYTES = 1 << 20
BATCHES_PER_SLICE = 200
"""After so many batches a load lets the event loop go on."""

Done = Callable[[int, int], None]
"""Called once with (error code, offset of the first record) when an append is replicated, refused or timed out."""


class InternalTopic(Protocol):
    """What a coordinator needs of the replication layer; ``broker.broker`` provides it."""

    def append(self, partition: int, leader_epoch: int, records: Sequence[Record], done: Done) -> None: ...

    def log(self, partition: int) -> Log | None: ...

    def partition_count(self) -> int:
        """Of the existing topic, else what it will be created with."""
        ...


@dataclass(slots=True)
class Shard:
    """``epoch``: the leader epoch under which it is owned. ``entries``: by group id or transactional id."""

    partition: int
    epoch: int
    loading: bool = True
    entries: dict[str, Any] = field(default_factory=dict)


class Replay:
    """Records in log order; those of a transaction are held back until its marker (facts F.9)."""

    def __init__(self, apply: Callable[[Record], None]) -> None:
        self._apply = apply
        self._open: dict[int, list[Record]] = {}

    def batch(self, data: memoryview, at: int, head: batches.BatchHeader) -> None:
        if head.is_control:
            marker = read_control(data, at)
            held = self._open.pop(head.producer_id, [])
            for record in held if marker is not None and marker.commit else []:
                self._apply(record)
            return
        for record in read_records(data, at):
            if head.is_transactional:
                self._open.setdefault(head.producer_id, []).append(record)
            else:
                self._apply(record)


async def replay(
    log: Log, apply: Callable[[Record], None], wanted: Callable[[], bool], breathe: Callable[[], Any]
) -> bool:
    """Apply every record of ``log`` up to its end of now; False where ``wanted()`` became false on the way."""
    held = Replay(apply)
    offset, end = log.log_start_offset, log.log_end_offset
    count = 0
    while offset < end:
        data = memoryview(log.read(offset, LOAD_BYTES, end).records)
        if not data:
            break
        for at, head in batches.headers(data):
            held.batch(data, at, head)
            offset = head.next_offset
            count += 1
            if count % BATCHES_PER_SLICE == 0:
                await breathe()
                if not wanted():
                    return False
        await breathe()
        if not wanted():
            return False
    return True


def java_hash(text: str) -> int:
    """String.hashCode: over UTF-16 code units, 32-bit signed."""
    value = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for index in range(0, len(units), 2):
        value = (31 * value + (units[index] << 8 | units[index + 1])) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


def partition_for(key: str, partitions: int) -> int:
    """The partition that coordinates ``key`` (Utils.abs: the one value without a positive counterpart is 0)."""
    hashed = java_hash(key)
    return (0 if hashed == -(1 << 31) else abs(hashed)) % partitions
