"""Where partitions begin and end, what stands at a moment, and when a record was written (ListOffsets, Fetch).

Everything is asked of the leaders, one request each; a partition that cannot answer is left out, not raised for.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from kops.cluster.metadata import NO_LEADER, Snapshot
from kops.session import Session

EARLIEST, LATEST = -2, -1
_PARTITION_BYTES = 1 << 16
_ALL_BYTES = 1 << 24


class Position(NamedTuple):
    """A partition by topic and number."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


def leaders(seen: Snapshot) -> dict[Position, int]:
    """Who leads which partition; those without a leader are left out."""
    return {Position(p.topic, p.index): p.leader for p in seen.partitions if p.leader != NO_LEADER}


def at_times(session: Session, led: Mapping[Position, int], times: Mapping[Position, int]) -> dict[Position, int]:
    """The first offset at or after a time (epoch ms, EARLIEST or LATEST) of each partition; -1 where there is none."""
    from kafka.protocol.consumer import ListOffsetsRequest as Request

    found: dict[Position, int] = {}
    for broker, positions in _by_leader(led, times):
        topics = [
            Request.ListOffsetsTopic(
                name=topic,
                partitions=[
                    Request.ListOffsetsTopic.ListOffsetsPartition(partition_index=p.partition, timestamp=times[p])
                    for p in mine
                ],
            )
            for topic, mine in by_topic(positions)
        ]
        request = Request(replica_id=-1, isolation_level=0, topics=topics, min_version=1, max_version=7)
        response = session.send(request, broker)
        found |= {
            Position(topic.name, p.partition_index): p.offset
            for topic in response.topics
            for p in topic.partitions
            if p.error_code == 0
        }
    return found


def timestamps(session: Session, led: Mapping[Position, int], wanted: Mapping[Position, int]) -> dict[Position, int]:
    """When the first record at or after an offset was written, epoch ms; costs a fetch.

    Only offsets below the end are to be asked for: partitions without such a record are left out.
    """
    found: dict[Position, int] = {}
    for broker, positions in _by_leader(led, wanted):
        left = dict.fromkeys(positions)
        while left:
            seen = _fetch(session, broker, {position: wanted[position] for position in left})
            if not seen:
                break
            found |= seen
            for position in seen:
                del left[position]
    return found


def _fetch(session: Session, broker: int, wanted: Mapping[Position, int]) -> dict[Position, int]:
    """Timestamps of those that fitted into one answer."""
    from kafka.protocol.consumer import FetchRequest as Request

    topics = [
        Request.FetchTopic(
            topic=topic,
            partitions=[
                Request.FetchTopic.FetchPartition(
                    partition=p.partition,
                    current_leader_epoch=-1,
                    fetch_offset=wanted[p],
                    log_start_offset=-1,
                    partition_max_bytes=_PARTITION_BYTES,
                )
                for p in positions
            ],
        )
        for topic, positions in by_topic(wanted)
    ]
    request = Request(
        replica_id=-1,
        max_wait_ms=0,
        min_bytes=0,
        max_bytes=_ALL_BYTES,
        isolation_level=0,
        session_id=0,
        session_epoch=-1,
        topics=topics,
        forgotten_topics_data=[],
        rack_id="",
        min_version=4,
        max_version=11,
    )
    found = {}
    for topic in session.send(request, broker).responses:
        for p in topic.partitions:
            position = Position(topic.topic, p.partition_index)
            written = _first(p.records, wanted[position]) if p.error_code == 0 and p.records else None
            if written is not None:
                found[position] = written
    return found


def _first(data: Any, offset: int) -> int | None:
    """The timestamp of the first record from ``offset`` on in bytes that may begin earlier and end anywhere."""
    from kafka.record import MemoryRecords

    records = MemoryRecords(data)
    while records.has_next():
        batch = records.next_batch()
        for record in batch or ():
            if record.offset >= offset:
                return int(record.timestamp)
    return None


def by_topic(positions: Collection[Position]) -> Iterator[tuple[str, list[Position]]]:
    """Positions gathered by topic, as requests want them."""
    topics: dict[str, list[Position]] = {}
    for position in sorted(positions):
        topics.setdefault(position.topic, []).append(position)
    yield from topics.items()


def _by_leader(led: Mapping[Position, int], wanted: Collection[Position]) -> Iterator[tuple[int, list[Position]]]:
    brokers: dict[int, list[Position]] = {}
    for position in wanted:
        if position in led:
            brokers.setdefault(led[position], []).append(position)
    yield from sorted(brokers.items())
