"""Members of a group as a program that can be killed: ``python -m tests.clients.members '{"client": ..., ...}'``.

``client`` and its ``count`` of members, each subscribed to ``topic`` in ``group`` with ``strategy``; ``first`` numbers
them. Each says on stdout, a JSON document per line, what it is assigned, what it has processed (msgpack values) and
what it has committed. It commits only what it has said to be processed. SIGTERM lets all of them leave the group.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from typing import Any

import msgpack

SESSION_MS, BEAT_MS = 3000, 300


class Told:
    """Where one member says what happens; whole lines, whoever else writes."""

    _lock = threading.Lock()

    def __init__(self, member: int) -> None:
        self._member = member

    def __call__(self, **what: Any) -> None:
        with self._lock:
            sys.stdout.write(json.dumps({"member": self._member, **what}) + "\n")
            sys.stdout.flush()

    def assigned(self, partitions: Any) -> None:
        self(assigned=sorted(one.partition for one in partitions))


def number_of(value: bytes | None) -> int:
    return int(msgpack.unpackb(value or b"")["number"])


def confluent(spec: dict[str, Any], told: Told, ended: threading.Event) -> None:
    """Commits asynchronously while it reads, and once more synchronously when it closes."""
    from confluent_kafka import Consumer, KafkaException

    settings = {
        "bootstrap.servers": spec["at"], "group.id": spec["group"], "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": BEAT_MS,
        "reconnect.backoff.max.ms": 500, "partition.assignment.strategy": spec["strategy"], "log_level": 0,
        "error_cb": lambda _error: None,
        "on_commit": lambda error, done: None if error else told(committed=[[p.partition, p.offset] for p in done]),
    }  # fmt: skip
    consumer = Consumer(settings)
    consumer.subscribe(
        [spec["topic"]], on_assign=lambda _, parts: told.assigned(parts), on_revoke=lambda _, parts: told.assigned([])
    )
    while not ended.is_set():
        good = [message for message in consumer.consume(20, 0.2) if message.error() is None]
        if good:
            told(read=[number_of(message.value()) for message in good])
            consumer.commit(asynchronous=True)
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as error:
        told(failed=str(error))
    consumer.close()


def kafka_python(spec: dict[str, Any], told: Told, ended: threading.Event) -> None:
    """enable_auto_commit, which commits what the poll before has returned."""
    import kafka
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

    class Listener(kafka.ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_assigned(self, assigned: Any) -> None:
            told.assigned(assigned)

        def on_partitions_revoked(self, revoked: Any) -> None:
            told.assigned([])

    strategies = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=spec["at"].split(","), group_id=spec["group"], auto_offset_reset="earliest",
        enable_auto_commit=True, auto_commit_interval_ms=200, session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=BEAT_MS, partition_assignment_strategy=[strategies[spec["strategy"]]],
        retry_backoff_ms=50, reconnect_backoff_max_ms=500, value_deserializer=number_of,
    )  # fmt: skip
    consumer.subscribe([spec["topic"]], listener=Listener())
    while not ended.is_set():
        try:
            batches = consumer.poll(200)
        except kafka.errors.KafkaError as error:
            told(failed=repr(error))  # what it says while its coordinator is gone; it looks for the next one
            continue
        if batches:
            told(read=[record.value for records in batches.values() for record in records])
    consumer.close()


async def aiokafka(spec: dict[str, Any], told: Told, ended: asyncio.Event) -> None:
    """Commits synchronously after each batch."""
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
    from aiokafka.errors import KafkaError

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_assigned(self, assigned: Any) -> None:
            told.assigned(assigned)

        def on_partitions_revoked(self, revoked: Any) -> None:
            told.assigned([])

    strategies = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=spec["at"], group_id=spec["group"], auto_offset_reset="earliest", enable_auto_commit=False,
        session_timeout_ms=SESSION_MS, heartbeat_interval_ms=BEAT_MS, value_deserializer=number_of,
        partition_assignment_strategy=[strategies[spec["strategy"]]], request_timeout_ms=10_000, retry_backoff_ms=50,
    )  # fmt: skip
    consumer.subscribe([spec["topic"]], listener=Listener())
    await consumer.start()
    while not ended.is_set():
        batches = await consumer.getmany(timeout_ms=200)
        if batches:
            told(read=[record.value for records in batches.values() for record in records])
            offsets = {partition: records[-1].offset + 1 for partition, records in batches.items()}
            try:
                await consumer.commit(offsets)
                told(committed=[[partition.partition, offset] for partition, offset in offsets.items()])
            except KafkaError as error:
                told(failed=repr(error))  # a rebalance, or no coordinator just now: whoever goes on reads it again
    with suppress(asyncio.CancelledError):  # of a task of its own, which it cancels while that waits for a dead broker
        await consumer.stop()


THREADED = {"confluent-kafka": confluent, "kafka-python": kafka_python}


def main(spec: dict[str, Any]) -> None:
    members = [Told(spec["first"] + index) for index in range(spec["count"])]
    if spec["client"] == "aiokafka":
        asyncio.run(_tasks(spec, members))
        return
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    threading.excepthook = _end
    work = THREADED[spec["client"]]
    threads = [threading.Thread(target=work, args=(spec, told, ended)) for told in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _end(failed: threading.ExceptHookArgs) -> None:
    """A member that breaks off must not go on beating: the others would wait for it."""
    traceback.print_exception(failed.exc_value)
    os._exit(1)


async def _tasks(spec: dict[str, Any], members: list[Told]) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await asyncio.gather(*(aiokafka(spec, told, ended) for told in members))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(json.loads(sys.argv[1]))
