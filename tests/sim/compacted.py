"""A compacted topic: keys that are written over and deleted, while its segments roll and are cleaned."""

from __future__ import annotations

from dataclasses import dataclass

from broker.storage.log import Log
from broker.wire import batch as batches
from broker.wire.errors import ErrorCode
from broker.wire.records import read_records
from tests.sim.admin import Admin, Lone
from tests.sim.checker import Keyed, Outcome
from tests.sim.workload import NOT_DONE

NAME = "compacted"
KEYS = 5
CONFIGS = {
    "cleanup.policy": "compact",
    "segment.bytes": "1500",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "3000",
    "file.delete.delay.ms": "500",
}


@dataclass
class Compacted:
    """Writes one record after the other, each with acks=all, and never twice."""

    admin: Admin

    async def run(self) -> None:
        work = self.admin.work
        work.working += 1
        topic = await self.admin.create(NAME, CONFIGS)
        lone, count = Lone(self.admin, NAME, topic.topic_id), 0
        while not work.stopping:
            key, count = f"k{work.dice.randrange(KEYS)}".encode(), count + 1
            value = None if work.dice.random() < 0.2 else f"{key.decode()}/{count}/{'x' * 60}".encode()
            write = Keyed(key, value)
            work.history.keyed.append(write)
            error, write.offset = await lone.send([(key, value)])
            if error == ErrorCode.NONE:
                write.outcome = Outcome.OK
            elif error in NOT_DONE:
                write.outcome = Outcome.FAILED
            await work.clock.sleep(work.dice.expovariate(12))
        work.working -= 1

    def note(self) -> int:
        """What every replica holds in the end goes into the history; how many segments were cleaned."""
        cleaned = 0
        for server in self.admin.work.cluster.alive():
            log = server.logdirs.get(NAME, 0)
            if log is None:
                continue
            self.admin.work.history.kept[f"broker-{server.config.broker_id}"] = contents(log)
            cleaned += server.logdirs.cleaner.clean_until(log) > 0
        return cleaned


def contents(log: Log) -> list[tuple[int, bytes, bytes | None]]:
    """(offset, key, value) of all; a batch may have lost some of its records, or all of them."""
    held: list[tuple[int, bytes, bytes | None]] = []
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        data = memoryview(log.read(offset, 1 << 20, log.log_end_offset).records)
        if not data:
            break
        for at, head in batches.headers(data):
            held += [(r.offset, r.key or b"", r.value) for r in read_records(data, at) if r.offset >= offset]
            offset = head.next_offset
    return held
