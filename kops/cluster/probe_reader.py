"""A reader beside the probe: takes in its records as a consumer does, and notes when each arrived.

It asks the leader with a Fetch that waits, and goes to the new leader as soon as it learns of one. So the longest time
in which nothing new arrived is how long reading stood still, the time in which nothing was written included.
"""

import threading
import time
from collections import Counter
from itertools import pairwise
from typing import Any

from kops.cluster.metadata import NO_LEADER, snapshot
from kops.cluster.offsets import LATEST, Position, at_times
from kops.contexts import Context
from kops.errors import KopsError
from kops.session import Session

REQUEST_SECONDS = 1.0
_WAIT_MS, _RETRY_SECONDS = 100, 0.005
_OUT_OF_RANGE = 1


class Reader:
    """Reads from a thread of its own between ``start`` and ``stop``; ``arrived`` holds wall milliseconds in order."""

    def __init__(self, context: Context, topic: str, partition: int) -> None:
        self.arrived: list[float] = []
        self.errors: Counter[str] = Counter()
        self._position = Position(topic, partition)
        self._session = Session(context, REQUEST_SECONDS, client_id="kops-probe-reader")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read_all, name="kops-probe-reader", daemon=True)
        self._leader = NO_LEADER
        self._brokers: list[int] = []
        self._next = 0

    def start(self) -> None:
        """From the end on. Raises Unreachable when no broker answers."""
        self._find_leader()
        self._to_end()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10.0)
        self._session.close()

    def gap(self, since: float) -> float | None:
        """The longest time without anything new that ends after ``since``; None when nothing arrived after it."""
        return max((after - before for before, after in pairwise(self.arrived) if after > since), default=None)

    def _to_end(self) -> None:
        led = {self._position: self._leader}
        self._next = at_times(self._session, led, {self._position: LATEST}).get(self._position, self._next)

    def _read_all(self) -> None:
        from kafka.errors import KafkaError

        while not self._stopping.is_set():
            try:
                error = self._read()
            except KafkaError as failure:
                error = type(failure).__name__.removesuffix("Error")
            if error:
                self.errors[error] += 1
                self._stopping.wait(_RETRY_SECONDS)
                self._look_again()

    def _read(self) -> str | None:
        """One fetch; the name of its error."""
        from kafka.errors import NodeNotReadyError, for_code

        if self._leader == NO_LEADER:
            return "NoLeader"
        try:
            answer = self._session.send(self._request(), self._leader)
        except NodeNotReadyError:
            return "NodeNotReady"  # the client waits before it connects again
        found = answer.responses[0].partitions[0]
        if found.error_code == _OUT_OF_RANGE:
            self._to_end()
        if found.error_code:
            return str(for_code(found.error_code).__name__).removesuffix("Error")
        self._take(found.records or b"")
        return None

    def _take(self, data: Any) -> None:
        from kafka.record import MemoryRecords

        now, records = time.time_ns() / 1e6, MemoryRecords(data)
        while records.has_next():
            for record in records.next_batch() or ():
                if record.offset >= self._next:
                    self._next = record.offset + 1
                    self.arrived.append(now)

    def _request(self) -> Any:
        from kafka.protocol.consumer import FetchRequest as Request

        partition = Request.FetchTopic.FetchPartition(
            partition=self._position.partition,
            current_leader_epoch=-1,
            fetch_offset=self._next,
            log_start_offset=-1,
            partition_max_bytes=1 << 20,
        )
        return Request(
            replica_id=-1,
            max_wait_ms=_WAIT_MS,
            min_bytes=1,
            max_bytes=1 << 20,
            isolation_level=0,
            session_id=0,
            session_epoch=-1,
            topics=[Request.FetchTopic(topic=self._position.topic, partitions=[partition])],
            forgotten_topics_data=[],
            rack_id="",
            min_version=4,
            max_version=11,
        )

    def _look_again(self) -> None:
        from kafka.errors import KafkaError

        try:
            self._find_leader()
        except (KafkaError, KopsError):
            return  # nobody answers at this moment: the next attempt asks again

    def _find_leader(self) -> None:
        """Asked of another broker than the leader that just failed: a paused one would hold up the answer."""
        from kafka.errors import KafkaError

        for broker in (*(one for one in self._brokers if one != self._leader), None):
            try:
                seen = snapshot(self._session, [self._position.topic], broker)
            except KafkaError:
                if broker is None:
                    raise
                continue
            topic = seen.topic(self._position.topic)
            found = [one for one in topic.partitions if one.index == self._position.partition] if topic else []
            self._leader = found[0].leader if found else NO_LEADER
            self._brokers = [one.id for one in seen.brokers]
            return
