"""Logs on a disk that loses what was not synced: what was acknowledged, or flushed, is there again."""

from __future__ import annotations

import os
import random

import pytest

from broker.config import KafkaConfig, LogConfig
from broker.host import Host
from broker.storage.logdirs import LogDirs
from broker.wire import batch as batches
from tests.sim.disk import Disk
from tests.sim.host import sim_host
from tests.sim.network import Network
from tests.sim.world import World
from tests.storage.support import contents, idempotent

CONFIG = LogConfig.of(segment_bytes=900, index_interval_bytes=150, retention_bytes=4000, file_delete_delay_ms=20)
PARTITIONS = 3
SEED_FROM = int(os.environ.get("STORAGE_SEED_FROM", "0"))
SEEDS = int(os.environ.get("STORAGE_SEEDS", "27"))
FOUND = (69, 207, 213)
"""They found that a loss of power amid a truncation, or after a deletion, left what looked like damage."""


class Story:
    """One machine whose broker is killed, or that loses power, again and again."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.network = Network(self.world)
        self.disk = Disk(self.world)
        self.dice = random.Random(seed)
        self.acknowledged = [0] * PARTITIONS
        self.flushed = [0] * PARTITIONS
        self.sent: list[dict[int, bytes]] = [{} for _ in range(PARTITIONS)]
        self.history: list[set[tuple[int, bytes]]] = [set() for _ in range(PARTITIONS)]
        self.sequences = [0] * PARTITIONS
        self.boots = 0
        self.after_power_loss = False
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
            log_retention_check_interval_ms=15,
            replica_high_watermark_checkpoint_interval_ms=4,
            log_flush_offset_checkpoint_interval_ms=7,
            log_flush_start_offset_checkpoint_interval_ms=9,
        )
        dirs = LogDirs(host, config, self.unexpected, self.unexpected)
        dirs.lock_and_read_meta()
        await dirs.write_meta(1, "cluster")
        await dirs.load(lambda _: CONFIG)
        self.check(dirs)
        dirs.start()
        self.running = True
        while True:
            number = self.dice.randrange(PARTITIONS)
            await self.step(host, dirs, number)
            await host.clock.sleep(self.dice.random() * 0.002)

    async def step(self, host: Host, dirs: LogDirs, number: int) -> None:
        log = dirs.get_or_create("t", number, None, CONFIG, True)
        what = self.dice.random()
        if what < 0.85:
            sent = idempotent(self.sequences[number], 1 + self.dice.randrange(3), timestamp=host.clock.wall_ms())
            info = log.append_as_leader(sent, self.boots, host.clock.wall_ms())
            self.sent[number][info.first_offset] = bytes(sent)
            self.history[number].add((info.first_offset, bytes(sent)))
            self.sequences[number] += info.records
            self.acknowledged[number] = log.log_end_offset
            log.high_watermark = max(log.high_watermark, self.flushed[number])  # below it nothing is ever given up
        elif what < 0.93:
            end = log.log_end_offset
            await log.flush()
            self.flushed[number] = max(self.flushed[number], min(end, log.log_end_offset))
        elif log.log_end_offset > log.log_start_offset:
            target = self.dice.choice([base for base in self.sent[number] if base >= log.log_start_offset])
            log.truncate_to(target)
            self.forget_from(number, target)

    def forget_from(self, number: int, offset: int) -> None:
        self.sent[number] = {base: sent for base, sent in self.sent[number].items() if base < offset}
        self.acknowledged[number] = min(self.acknowledged[number], offset)
        self.flushed[number] = min(self.flushed[number], offset)
        last = self.sent[number].get(max(self.sent[number], default=-1))
        self.sequences[number] = batches.header(last).last_sequence + 1 if last else 0

    def check(self, dirs: LogDirs) -> None:
        for number in range(PARTITIONS):
            log = dirs.get("t", number)
            if log is None:
                assert self.flushed[number] == 0
                assert self.after_power_loss or self.acknowledged[number] == 0
                self.forget_from(number, 0)
                continue
            if self.after_power_loss:
                assert log.log_end_offset >= self.flushed[number]
            else:
                assert log.log_end_offset == self.acknowledged[number]
            whole, kept = contents(log), {}
            for at, head in batches.headers(whole):
                found = whole[at : at + head.size]
                if head.base_offset < self.flushed[number] or not self.after_power_loss:
                    assert self.sent[number][head.base_offset] == found, (
                        number,
                        head.base_offset,
                        self.flushed[number],
                    )
                # a truncation is not synced: after a power loss what was cut may be there again
                assert (head.base_offset, found) in self.history[number]
                kept[head.base_offset] = found
            self.sent[number] = kept
            self.forget_from(number, log.log_end_offset)
            self.acknowledged[number] = log.log_end_offset
            known = log.producers.producers.get(7)
            if log.log_end_offset > log.log_start_offset:
                assert known is not None
                assert known.last_sequence == self.sequences[number] - 1
            assert all(start < log.log_end_offset for _, start in log.leader_epochs.entries())

    def unexpected(self, *what: object) -> None:
        raise AssertionError(what)

    def end(self, power: bool) -> None:
        self.process.kill()
        self.disk.locks.clear()
        self.after_power_loss = power
        if power:
            self.disk.lose_power()


@pytest.mark.parametrize("seed", [*range(SEED_FROM, SEED_FROM + SEEDS), *FOUND])
def test_a_broker_that_dies_again_and_again_keeps_its_word(seed: int) -> None:
    story = Story(seed)
    try:
        for _ in range(6):
            story.boot()
            story.world.run_until(lambda: story.running, 5, "booted")
            story.world.run(story.dice.random() * 0.2)
            story.end(power=seed % 2 == 1 and story.dice.random() < 0.7)
    finally:
        story.world.close()
