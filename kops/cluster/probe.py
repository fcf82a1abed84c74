"""A probe: writes numbered records to one partition, notes when each was acknowledged, reads back and compares.

It sends one record at a time and sends it again until it is acknowledged, as a careful producer does: with acks=all as
an idempotent one (KIP-98), so that a record sent twice is stored once. Each answer is counted by its own error code,
which client libraries keep to themselves.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import uuid4

from kops.cluster.metadata import NO_LEADER, Snapshot, snapshot
from kops.cluster.records import EARLIEST, ConsumeOptions, Record, consume
from kops.cluster.watching import wall_ms
from kops.contexts import Context
from kops.errors import KopsError
from kops.session import Session

REQUEST_SECONDS = 1.0
"""An answer that takes longer counts as a failed write; a paused broker is given up after it."""
_DUPLICATE, _OUT_OF_ORDER, _UNKNOWN_PRODUCER = 46, 45, 59
_RETRY_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Record ``number`` was acknowledged at wall milliseconds ``at``, ``took`` ms after it was first sent."""

    number: int
    at: float
    took: float
    offset: int


@dataclass(slots=True)
class Tally:
    """What the probe saw. ``errors`` counts failed attempts by the name of their error."""

    sent: int = 0
    acknowledged: list[Acknowledged] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    first_error: tuple[float, str] | None = None

    def gap(self, since: float) -> tuple[float, float, float]:
        """The longest time between two acknowledgements that ends after ``since``: length, beginning, end (ms)."""
        times = [one.at for one in self.acknowledged]
        pairs = [(after - before, before, after) for before, after in pairwise(times) if after > since]
        return max(pairs, default=(0.0, since, since))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was read back, against what was acknowledged. The lists hold numbers of records."""

    read: int
    lost: tuple[int, ...]
    duplicated: tuple[int, ...]
    out_of_order: tuple[int, ...]
    unasked: int
    """Records that are there though they were never acknowledged: allowed, the answer was lost."""


def compare(acknowledged: Sequence[int], read: Sequence[int]) -> Comparison:
    """Pure: numbers in the order in which they were acknowledged and read."""
    counted = Counter(read)
    highest, late = -1, []
    for number in dict.fromkeys(read):
        if number < highest:
            late.append(number)
        highest = max(highest, number)
    known = set(acknowledged)
    return Comparison(
        read=len(read),
        lost=tuple(number for number in acknowledged if number not in counted),
        duplicated=tuple(sorted(number for number, times in counted.items() if times > 1)),
        out_of_order=tuple(late),
        unasked=sum(number not in known for number in counted),
    )


class Probe:
    """Writes from a thread of its own between ``start`` and ``stop``. ``acks`` is -1 (all) or 1.

    ``failed`` and ``recovered`` are called on that thread: on the first failed attempt of a record, with the error's
    name, and when a record that had failed is acknowledged.
    """

    def __init__(self, context: Context, topic: str, partition: int, acks: int, rate: float) -> None:
        self.context = context
        self.topic = topic
        self.partition = partition
        self.acks = acks
        self.pause = 1 / rate
        self.tally = Tally()
        self.failed: Callable[[str], None] = _nothing
        self.recovered: Callable[[Acknowledged], None] = _nothing
        self._run = uuid4().hex[:8]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="kops-probe", daemon=True)
        self._session = Session(context, REQUEST_SECONDS, client_id="kops-probe")
        self._leader = NO_LEADER
        self._brokers: list[int] = []
        self._producer = (-1, -1)
        self._sequence = 0

    def start(self) -> None:
        """Raises Unreachable when no broker answers."""
        self._find_leader()
        if self.acks == -1:
            self._begin_producer()
        self._thread.start()

    def stop(self) -> None:
        """Ends after the record that is under way; one that nobody acknowledges is given up."""
        self._stopping.set()
        self._thread.join(10.0)
        self._session.close()

    def _write_all(self) -> None:
        number, due = 0, time.monotonic()
        while not self._stopping.is_set():
            self._write(number)
            number += 1
            due = max(due + self.pause, time.monotonic())
            self._stopping.wait(due - time.monotonic())

    def _write(self, number: int) -> None:
        """Until it is acknowledged, or the probe is stopped."""
        began, harmed = time.time_ns() / 1e6, False
        self.tally.sent += 1
        while not self._stopping.is_set():
            error, offset = self._attempt(number)
            if error is None:
                now = time.time_ns() / 1e6
                self.tally.acknowledged.append(Acknowledged(number, now, now - began, offset))
                self._sequence += 1
                if harmed:
                    self.recovered(self.tally.acknowledged[-1])
                return
            if error:
                self.tally.errors[error] += 1
                if self.tally.first_error is None:
                    self.tally.first_error = (time.time_ns() / 1e6, error)
                if not harmed:
                    self.failed(error)
                harmed = True
            self._stopping.wait(_RETRY_SECONDS)
            self._look_again()

    def _attempt(self, number: int) -> tuple[str | None, int]:
        """Error name and offset: None when acknowledged, empty when nothing could even be sent."""
        from kafka.errors import KafkaError, NodeNotReadyError, for_code

        if self._leader == NO_LEADER:
            return "", -1
        try:
            response = self._session.send(self._request(number), self._leader)
        except NodeNotReadyError:
            return "", -1  # the client waits before it connects again
        except KafkaError as error:
            return type(error).__name__.removesuffix("Error"), -1
        answer = response.responses[0].partition_responses[0]
        if answer.error_code in (0, _DUPLICATE):
            return None, answer.base_offset
        if answer.error_code in (_OUT_OF_ORDER, _UNKNOWN_PRODUCER):
            self._producer = (-1, -1)  # the broker lost what came before: begin anew, reading back will tell
        return for_code(answer.error_code).__name__.removesuffix("Error"), -1

    def _request(self, number: int) -> Any:
        from kafka.protocol.producer import ProduceRequest
        from kafka.record import MemoryRecordsBuilder

        batch = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=16_384)
        batch.append(timestamp=wall_ms(), key=None, value=f"{self._run} {number}".encode())
        if self.acks == -1:
            batch.set_producer_state(*self._producer, self._sequence, False)
        batch.close()
        data = ProduceRequest.TopicProduceData
        partition = data.PartitionProduceData(index=self.partition, records=bytes(batch.buffer()))
        return ProduceRequest(
            transactional_id=None,
            acks=self.acks,
            timeout_ms=int(REQUEST_SECONDS * 1000),
            topic_data=[data(name=self.topic, partition_data=[partition])],
            max_version=8,
        )

    def _look_again(self) -> None:
        """Who leads now, and a producer id when the one before is of no use any more."""
        from kafka.errors import KafkaError

        try:
            self._find_leader()
            if self.acks == -1 and self._producer[0] < 0:
                self._begin_producer()
        except (KafkaError, KopsError):
            return  # nobody answers at this moment: the next attempt asks again

    def _find_leader(self) -> None:
        """Asked of another broker than the leader that just failed: a paused one would hold up the answer."""
        seen = self._ask([broker for broker in self._brokers if broker != self._leader])
        topic = seen.topic(self.topic)
        found = [one for one in topic.partitions if one.index == self.partition] if topic else []
        self._leader = found[0].leader if found else NO_LEADER
        self._brokers = [broker.id for broker in seen.brokers]

    def _ask(self, others: Sequence[int]) -> Snapshot:
        from kafka.errors import KafkaError

        for broker in others:
            try:
                return snapshot(self._session, [self.topic], broker)
            except KafkaError:
                continue  # it may be away as well
        return snapshot(self._session, [self.topic])

    def _begin_producer(self) -> None:
        from kafka.protocol.producer import InitProducerIdRequest

        response = self._session.send(
            InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000, max_version=2)
        )
        if not response.error_code:
            self._producer, self._sequence = (response.producer_id, response.producer_epoch), 0

    def read_back(self) -> Comparison:
        """Read the whole partition with another client, and compare. Raises KopsError, kafka and aiokafka errors."""
        with Session(self.context, 30.0, client_id="kops-probe-reader") as session:
            read = asyncio.run(self._read(session))
        return compare([one.number for one in self.tally.acknowledged], read)

    async def _read(self, session: Session) -> list[int]:
        options = ConsumeOptions(partitions=(self.partition,), start=EARLIEST, to_end=True, idle_ms=20_000)
        found: list[int] = []
        async for batch in consume(session, self.topic, options):
            found += [number for record in batch if (number := self._number(record)) is not None]
        return found

    def _number(self, record: Record) -> int | None:
        """Of a record of this run; None for anybody else's."""
        run, _, number = (record.value or b"").decode(errors="replace").partition(" ")
        return int(number) if run == self._run and number.isdigit() else None


def _nothing(_what: object) -> None:
    """Nobody asked to be told."""
