"""Records written and read with aiokafka; without a group unless one is named: nothing joins, nothing is committed.

``Record`` is what both directions share; ``produce`` takes an asynchronous stream of them, ``consume`` gives one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kops.cluster.metadata import NO_LEADER, topics_of
from kops.errors import NotFound, Unreachable
from kops.session import Session

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

EARLIEST, LATEST = -2, -1
_IN_FLIGHT = 5000


@dataclass(frozen=True, slots=True)
class Record:
    """A record as bytes. None for key or value is Kafka's null, which is not the same as empty."""

    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int | None = None
    partition: int | None = None
    topic: str = ""
    offset: int = -1
    timestamp_type: int = 0


@dataclass(frozen=True, slots=True)
class ProduceOptions:
    """As the producer's settings of the same names. ``rate``: records per second, None for as fast as it goes."""

    acks: int | str = "all"
    compression: str | None = None
    idempotent: bool = True
    linger_ms: int = 5
    batch_size: int = 131_072
    rate: float | None = None
    keep_partition: bool = False


@dataclass(slots=True)
class Summary:
    """What was moved: records, bytes of keys and values, seconds, and how many failed. ``new``: to a new topic."""

    records: int = 0
    bytes: int = 0
    seconds: float = 0.0
    failed: int = 0
    new: bool = False

    def count(self, record: Record) -> None:
        self.records += 1
        self.bytes += len(record.key or b"") + len(record.value or b"")


async def produce(
    session: Session,
    topic: str,
    records: AsyncIterator[list[Record]],
    options: ProduceOptions,
    on_error: Callable[[Record, BaseException], None],
) -> Summary:
    """Write every record of the batches that ``records`` gives; each acknowledged or handed to ``on_error``.

    Records sent together keep their order; a batch that arrives alone (typed lines) is sent at once. What is not
    acknowledged within the session's timeout has failed, and ends it all: an idempotent producer would retry for ever.
    """
    summary, began = Summary(), time.monotonic()
    producer = session.producer(
        acks=options.acks,
        compression_type=options.compression,
        enable_idempotence=options.idempotent and options.acks in ("all", -1),
        linger_ms=options.linger_ms,
        max_batch_size=options.batch_size,
        max_request_size=64 * 1024 * 1024,
    )
    try:
        await producer.start()
        summary.new = await _is_new(producer, topic)
        await _send_all(producer, topic, records, options, summary, on_error, session.timeout)
    except _GaveUpError:
        producer._sender.sender_task.cancel()  # or stopping would wait for what is not going to be acknowledged
    finally:
        await producer.stop()
    summary.seconds = time.monotonic() - began
    return summary


async def _is_new(producer: "AIOKafkaProducer", topic: str) -> bool:
    """Whether the topic is not there: the first record makes it, where brokers create topics by themselves."""
    from aiokafka.protocol.metadata import MetadataRequest

    client = producer.client
    seen = await client.send(client.get_random_node(), MetadataRequest([topic], allow_auto_topic_creation=False))
    return any(error == 3 for error, *_ in seen.topics)


async def _send_all(
    producer: "AIOKafkaProducer",
    topic: str,
    records: AsyncIterator[list[Record]],
    options: ProduceOptions,
    summary: Summary,
    on_error: Callable[[Record, BaseException], None],
    timeout: float,
) -> None:
    began, sent = time.monotonic(), 0
    waiting: list[tuple[Record, Any]] = []
    async for batch in records:
        for record in batch:
            if options.rate and (ahead := sent / options.rate - (time.monotonic() - began)) > 0:
                await asyncio.sleep(ahead)
            waiting.append((record, await _send(producer, topic, record, options)))
            sent += 1
        if len(waiting) >= _IN_FLIGHT or len(batch) < 100:
            await _settle(waiting, summary, on_error, timeout)
            waiting = []
    await _settle(waiting, summary, on_error, timeout)


async def _send(producer: "AIOKafkaProducer", topic: str, record: Record, options: ProduceOptions) -> Any:
    """The future acknowledgement. Raises NotFound for a partition that the topic does not have."""
    if options.keep_partition and record.partition is not None:
        there = await producer.partitions_for(topic)
        if record.partition not in there:
            raise NotFound(
                f"topic {topic} has no partition {record.partition}", f"It has {len(there)}, counted from 0."
            )
    return await producer.send(
        topic,
        value=record.value,
        key=record.key,
        partition=record.partition if options.keep_partition else None,
        timestamp_ms=record.timestamp,
        headers=list(record.headers) or None,
    )


async def _settle(
    waiting: Sequence[tuple[Record, Any]],
    summary: Summary,
    on_error: Callable[[Record, BaseException], None],
    timeout: float,
) -> None:
    """Wait for every acknowledgement. Raises _GaveUpError when one did not come in time."""
    pending = {future for _, future in waiting if not future.done()}
    if pending:
        _, pending = await asyncio.wait(pending, timeout=timeout)
    for record, future in waiting:
        error = TimeoutError(f"not acknowledged within {timeout:g} s") if future in pending else future.exception()
        if error is None:
            summary.count(record)
        else:
            summary.failed += 1
            on_error(record, error)
    if pending:
        raise _GaveUpError


class _GaveUpError(Exception):
    """Something was not acknowledged in time: nothing more is sent."""


@dataclass(frozen=True, slots=True)
class ConsumeOptions:
    """``start`` is an offset, EARLIEST or LATEST; ``idle_ms`` ends the reading when nothing came for so long.

    ``to_end``: stop at the end offsets that were there at the start. ``group``: read as its member, and commit.
    """

    partitions: tuple[int, ...] = ()
    start: int = LATEST
    timestamp: int | None = None
    max_messages: int | None = None
    idle_ms: int | None = None
    to_end: bool = False
    committed_only: bool = False
    group: str | None = None
    last: int | None = None
    """With ``start`` LATEST: begin so many records before the end of each partition."""


async def consume(session: Session, topic: str, options: ConsumeOptions) -> AsyncIterator[list[Record]]:
    """Batches of records in each partition's order. Raises NotFound for a topic or partition that is not there.

    The generator ends by ``max_messages``, ``idle_ms`` or ``to_end``; without them it goes on.
    """
    partitions = await asyncio.to_thread(_partitions, session, topic, options.partitions)
    consumer = session.consumer(
        options.group,
        auto_offset_reset="earliest" if options.start != LATEST else "latest",
        isolation_level="read_committed" if options.committed_only else "read_uncommitted",
        max_partition_fetch_bytes=4 * 1024 * 1024,
        fetch_max_wait_ms=250,
    )
    try:
        await consumer.start()
        ends = await _start(consumer, topic, partitions, options)
        async for batch in _batches(consumer, options, ends):
            yield batch
            if options.group is not None:
                await _commit(consumer)
    finally:
        await consumer.stop()


def _partitions(session: Session, topic: str, wanted: tuple[int, ...]) -> list[int]:
    found = {partition.index: partition for partition in topics_of(session, [topic])[1][0].partitions}
    for index in wanted:
        if index not in found:
            raise NotFound(f"topic {topic} has no partition {index}", f"It has {len(found)}, counted from 0.")
    chosen = list(wanted) or sorted(found)
    if all(found[index].leader == NO_LEADER for index in chosen):
        raise Unreachable(f"no partition of topic {topic} has a leader", "See `kops partition list`.")
    return chosen


async def _start(
    consumer: "AIOKafkaConsumer", topic: str, partitions: Sequence[int], options: ConsumeOptions
) -> dict[Any, int] | None:
    """Assign and seek. Returns where each partition ends now when the reading is to stop there."""
    from aiokafka import TopicPartition

    assigned = [TopicPartition(topic, index) for index in partitions]
    if options.group is not None:
        consumer.subscribe([topic])
        return dict(await consumer.end_offsets(assigned)) if options.to_end else None
    consumer.assign(assigned)
    if options.timestamp is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(assigned, options.timestamp))
        later = await consumer.end_offsets(assigned)
        for one in assigned:
            consumer.seek(one, found[one].offset if found.get(one) else later[one])
    elif options.start == EARLIEST:
        await consumer.seek_to_beginning(*assigned)
    elif options.start == LATEST and options.last:
        first, end = await consumer.beginning_offsets(assigned), await consumer.end_offsets(assigned)
        for one in assigned:
            consumer.seek(one, max(first[one], end[one] - options.last))
    elif options.start == LATEST:
        await consumer.seek_to_end(*assigned)
    else:
        for one in assigned:
            consumer.seek(one, options.start)
    return dict(await consumer.end_offsets(assigned)) if options.to_end else None


async def _batches(
    consumer: "AIOKafkaConsumer", options: ConsumeOptions, ends: dict[Any, int] | None
) -> AsyncIterator[list[Record]]:
    left = options.max_messages
    last = time.monotonic()
    while left is None or left > 0:
        if ends is not None and await _reached(consumer, ends):
            return
        fetched = await consumer.getmany(timeout_ms=200, max_records=left)
        batch = [_record(one) for partition in sorted(fetched) for one in fetched[partition]]
        if batch:
            last = time.monotonic()
            left = None if left is None else left - len(batch)
            yield batch
        elif options.idle_ms is not None and (time.monotonic() - last) * 1000 >= options.idle_ms:
            return


async def _commit(consumer: "AIOKafkaConsumer") -> None:
    """What was handed out is committed; a rebalance in between has it read again, by whoever has it now."""
    from aiokafka.errors import CommitFailedError, IllegalStateError

    try:
        await consumer.commit()
    except (CommitFailedError, IllegalStateError):
        return


async def _reached(consumer: "AIOKafkaConsumer", ends: dict[Any, int]) -> bool:
    """Whether all that is assigned is read; a member of a group is assigned its part a moment after it starts."""
    mine = [partition for partition in ends if partition in consumer.assignment()]
    return bool(mine) and all([await consumer.position(partition) >= ends[partition] for partition in mine])


def _record(one: Any) -> Record:
    return Record(
        key=one.key,
        value=one.value,
        headers=tuple((name, value) for name, value in one.headers or ()),
        timestamp=one.timestamp if one.timestamp >= 0 else None,
        partition=one.partition,
        topic=one.topic,
        offset=one.offset,
        timestamp_type=one.timestamp_type or 0,
    )
