"""Topics that come, change and go while others are written: no record of those is lost, and how long each waits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from bench.client import (
    Connection,
    create_topic,
    delete_topics,
    fetch_frame,
    leader_port,
    metadata,
    produce_error,
    produce_frame,
    produced_offset,
)
from bench.engines import Cluster
from bench.load import Measured
from bench.row import AtMost, Figures, fresh, row, topic_of
from broker.wire.batch import headers
from broker.wire.codec import decode_response
from broker.wire.keys import ApiKey
from broker.wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from broker.wire.records import Record, build_batch, read_records

TOPICS = 1000
AT_ONCE = 2
OTHERS = 3
EVERY = 0.01
"""Seconds between two records for one of the other topics."""


@dataclass(slots=True)
class Paced:
    """A producer that sends one record at fixed times, whether or not the one before is acknowledged.

    ``acknowledged``: offset by the record's number. Latencies count from the time at which a record was due.
    """

    topic: str
    connection: Connection
    acknowledged: dict[int, int] = field(default_factory=dict)
    sent: int = 0
    measured: Measured | None = None
    stop: bool = False

    async def run(self) -> None:
        due = time.perf_counter()
        while not self.stop:
            due += EVERY
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._send(self.sent, due, self.measured)
            self.sent += 1
        while len(self.acknowledged) < self.sent:
            await asyncio.sleep(0.01)

    def _send(self, number: int, due: float, measured: Measured | None) -> None:
        def answered(payload: bytes) -> None:
            error = produce_error(payload)
            assert error == 0, f"produce to {self.topic} answered error {error}"
            self.acknowledged[number] = produced_offset(payload)
            if measured is not None:
                measured.latencies.append(time.perf_counter() - due)

        batch = bytes(build_batch([Record(0, time.time_ns() // 1_000_000, None, b"%d" % number)]))
        self.connection.send(produce_frame(self.topic, [0], batch, -1), answered)


async def live(ports: list[int], worker: int) -> None:
    """The lives of every ``AT_ONCE``th topic, one after the other: created, changed, deleted."""
    view = await metadata(ports[0], [])
    controller = next(b.port for b in view.brokers if b.node_id == view.controller_id)
    connection = await Connection.open(controller)
    for _ in range(worker, TOPICS, AT_ONCE):
        name = fresh("churn")
        await create_topic(ports[0], name, 1, 3)
        changed = AlterConfigsResource(
            resource_type=2,
            resource_name=name,
            configs=[AlterableConfig(name="retention.ms", config_operation=0, value="1000000")],
        )
        request = IncrementalAlterConfigsRequest(resources=[changed])
        reply = await connection.request(ApiKey.INCREMENTAL_ALTER_CONFIGS, 0, request)
        assert reply.responses[0].error_code == 0, f"altering {name}: error {reply.responses[0].error_code}"
        await delete_topics(ports[0], [name])
    connection.close()


async def lost(port: int, topic: str, acknowledged: dict[int, int]) -> int:
    """How many acknowledged records are not where the reply said."""
    connection = await Connection.open(port)
    found: dict[int, bytes | None] = {}
    last = max(acknowledged.values())
    offset = 0
    while offset <= last:
        payload = await connection.call(fetch_frame(topic, 0, offset, 1 << 20))
        reply = decode_response(ApiKey.FETCH, 11, payload)[1]
        data = bytes(reply.responses[0].partitions[0].records)
        found |= {record.offset: record.value for at, _ in headers(data) for record in read_records(data, at)}
        offset = max(found) + 1
    connection.close()
    return sum(found.get(offset) != b"%d" % number for number, offset in acknowledged.items())


@row(
    f"{TOPICS} topics created, altered, deleted: produce to {OTHERS} others, acks=all, 3 replicas",
    3,
    cluster="churn",
    lost=AtMost(0),
    p99_times_quiet=AtMost(3),
)
async def churn(cluster: Cluster, seconds: float) -> Figures:
    """``p99 times quiet``: of all requests while topics come and go, against those before."""
    others = []
    for _ in range(OTHERS):
        topic = fresh("other")
        port = await topic_of(cluster, topic, 1, 3)
        others.append(Paced(topic, await Connection.open(port)))
    running = [asyncio.ensure_future(other.run()) for other in others]
    quiet, busy = Measured(), Measured()
    await asyncio.sleep(seconds)
    for other in others:
        other.measured = quiet
    await asyncio.sleep(3 * seconds)
    for other in others:
        other.measured = busy
    began = time.perf_counter()
    await asyncio.gather(*(live(cluster.ports, worker) for worker in range(AT_ONCE)))
    taken = time.perf_counter() - began
    for other in others:
        other.stop = True
    await asyncio.gather(*running)
    missing = 0
    for other in others:
        missing += await lost(await leader_port(cluster.port, other.topic), other.topic, other.acknowledged)
        other.connection.close()
    return {
        "quiet p99 ms": quiet.percentile_ms(99),
        "p99 ms": busy.percentile_ms(99),
        "p50 ms": busy.percentile_ms(50),
        "max ms": busy.percentile_ms(100),
        "p99 times quiet": busy.percentile_ms(99) / quiet.percentile_ms(99),
        "lost": float(missing),
        "lives/s": TOPICS / taken,
    }
