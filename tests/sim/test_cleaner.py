"""Compaction on a disk that loses what was not synced: no value is lost, and none comes back past its tombstone."""

from __future__ import annotations

import os
import random

import pytest

from broker.config import KafkaConfig, LogConfig
from broker.host import Host
from broker.storage.log import Log
from broker.storage.logdirs import LogDirs
from broker.wire.records import Record, build_batch
from tests.sim.disk import Disk
from tests.sim.host import sim_host
from tests.sim.network import Network
from tests.sim.world import World
from tests.storage.cleaning import data

CONFIG = LogConfig.of(
    cleanup_policy=("compact",),
    segment_bytes=600,
    index_interval_bytes=150,
    file_delete_delay_ms=20,
    delete_retention_ms=10,
    min_cleanable_dirty_ratio=0.0,
)
KEYS = 6
SEED_FROM = int(os.environ.get("STORAGE_SEED_FROM", "0"))
SEEDS = int(os.environ.get("STORAGE_SEEDS", "30"))


class Story:
    """One compacted log, whose broker is killed or loses power again and again; what is below the watermark stays."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.network = Network(self.world)
        self.disk = Disk(self.world)
        self.dice = random.Random(seed)
        self.sent: dict[int, Record] = {}
        self.acknowledged = self.flushed = self.high_watermark = 0
        self.boots = self.cleans = 0
        self.power_lost = False
        self.running = False

    def boot(self) -> None:
        self.boots += 1
        self.running = False
        self.process = self.world.process(f"broker-{self.boots}")
        self.process.spawn(self.live(sim_host(self.process, self.network, self.disk)), "live")

    async def live(self, host: Host) -> None:
        config = KafkaConfig.of(
            log_dirs=("/data",),
            log_initial_task_delay_ms=1,
            log_cleaner_backoff_ms=5,
            replica_high_watermark_checkpoint_interval_ms=4,
            log_flush_offset_checkpoint_interval_ms=7,
        )
        dirs = LogDirs(host, config, self.unexpected, self.unexpected)
        dirs.lock_and_read_meta()
        await dirs.write_meta(1, "cluster")
        await dirs.load(lambda _: CONFIG)
        log = dirs.get_or_create("t", 0, None, CONFIG, True)
        self.check(log)
        dirs.start()
        self.running = True
        while True:
            await self.step(host, log)
            self.cleans = max(self.cleans, dirs.cleaner.clean_until(log))
            await host.clock.sleep(self.dice.random() * 0.002)

    async def step(self, host: Host, log: Log) -> None:
        choice = self.dice.random()
        if choice < 0.85:
            self.append(host, log)
        elif choice < 0.95:
            end = log.log_end_offset
            await log.flush()
            self.flushed = max(self.flushed, min(end, log.log_end_offset))
        elif not self.power_lost:  # what is above the watermark may have to go, as a follower's does
            target = self.dice.choice([self.high_watermark, log.log_end_offset])
            log.truncate_to(target)
            self.forget_from(target)

    def append(self, host: Host, log: Log) -> None:
        now = host.clock.wall_ms()
        records = []
        for _ in range(1 + self.dice.randrange(3)):
            value = None if self.dice.random() < 0.25 else b"%d" % self.dice.randrange(10**9)
            records.append(Record(0, now, b"k%d" % self.dice.randrange(KEYS), value))
        info = log.append_as_leader(build_batch(records, base_offset=0), self.boots, now)
        for index, each in enumerate(records):
            self.sent[info.first_offset + index] = each._replace(offset=info.first_offset + index)
        self.acknowledged = log.log_end_offset
        if self.dice.random() < 0.5:
            self.high_watermark = log.high_watermark = log.log_end_offset

    def forget_from(self, offset: int) -> None:
        self.sent = {each: record for each, record in self.sent.items() if each < offset}
        self.acknowledged = min(self.acknowledged, offset)
        self.flushed = min(self.flushed, offset)

    def check(self, log: Log) -> None:
        assert self.flushed <= log.log_end_offset <= self.acknowledged
        if not self.power_lost:
            assert log.log_end_offset == self.acknowledged
        self.forget_from(log.log_end_offset)
        self.high_watermark = log.high_watermark = min(self.high_watermark, log.log_end_offset)
        present = data(log)
        assert all(self.sent[each.offset] == each for each in present)
        wanted = {each.key: each for _, each in sorted(self.sent.items())}
        got = {each.key: each for each in present}
        for key, each in wanted.items():
            if each.value is not None or key in got:
                assert got[key] == each

    def unexpected(self, *what: object) -> None:
        raise AssertionError(what)

    def end(self, power: bool) -> None:
        self.process.kill()
        self.disk.locks.clear()
        self.power_lost = self.power_lost or power
        if power:
            self.disk.lose_power()


@pytest.mark.parametrize("seed", range(SEED_FROM, SEED_FROM + SEEDS))
def test_a_compacted_log_keeps_the_newest_value_through_every_crash(seed: int) -> None:
    story = Story(seed)
    try:
        for _ in range(6):
            story.boot()
            story.world.run_until(lambda: story.running, 5, "booted")
            story.world.run(story.dice.random() * 0.2)
            story.end(power=seed % 2 == 1 and story.dice.random() < 0.7)
        assert story.cleans > 0
    finally:
        story.world.close()
