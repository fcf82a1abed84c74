"""Compaction under random writers: the log must always be what it may be, and nothing else."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from broker.wire import batch as batches
from broker.wire.records import Record
from tests.storage.cleaning import Compacted, data, found, random_value, record


def superseded(history: dict[int, Record], until: int) -> set[int]:
    """Offsets below ``until`` of which the same key has a newer one below it."""
    newest: dict[bytes | None, int] = {}
    for offset, each in history.items():
        if offset < until:
            newest[each.key] = max(offset, newest.get(each.key, -1))
    return {offset for offset, each in history.items() if offset < until and newest[each.key] != offset}


class Story:
    """Random writers with sequences and transactions, cleans, restarts; the log must always be what it may be."""

    def __init__(self, path: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        ratio = self.dice.choice([0.0, 0.3])
        self.kit = Compacted(path, segment_bytes=600, delete_retention_ms=1000, min_cleanable_dirty_ratio=ratio)
        self.kit.broker = {"log_cleaner_dedupe_buffer_size": self.dice.choice([1000, 100_000])}
        self.history: dict[int, Record] = {}
        self.aborted: set[int] = set()
        self.open: dict[int, list[int]] = {}
        self.sequences = [0] * 4
        self.end = 0

    async def run(self) -> None:
        await self.kit.open()
        for _ in range(120):
            self.kit.clock.now_ms += self.dice.randrange(100)
            choice = self.dice.random()
            if choice < 0.8:
                self.write()
                self.end = self.kit.log.log_end_offset
            elif choice < 0.9:
                while await self.kit.clean():
                    pass
                self.check()
            elif choice < 0.95:
                await self.kit.again(clean=self.dice.random() < 0.5)
                self.check()
            else:
                self.kit.roll()

    def write(self) -> None:
        kit, dice = self.kit, self.dice
        number = dice.randrange(4)
        if number in self.open and dice.random() < 0.5:
            commit = dice.random() < 0.5
            kit.mark(number, commit)
            offsets = self.open.pop(number)
            if not commit:
                self.aborted |= set(offsets)
            return
        records = [
            record(f"k{dice.randrange(12)}", random_value(dice), kit.clock.now_ms) for _ in range(dice.randrange(1, 5))
        ]
        options: dict[str, Any] = {"codec": dice.choice([0, 0, 1, 3])}
        if number < 3:
            options |= {"producer_id": number, "producer_epoch": 0, "base_sequence": self.sequences[number]}
            self.sequences[number] += len(records)
        if number in self.open or number == 1:
            options["attributes"] = batches.TRANSACTIONAL
        first = kit.append(records, **options)
        for index, each in enumerate(records):
            self.history[first + index] = each._replace(offset=first + index)
        if "attributes" in options:
            self.open.setdefault(number, []).extend(range(first, first + len(records)))

    def check(self) -> None:
        log = self.kit.log
        until = self.kit.dirs.cleaner.clean_until(log)
        present = {each.offset: each for each in data(log)}
        assert all(self.history[offset] == each for offset, each in present.items())
        assert list(present) == sorted(present)
        assert {offset for offset in self.history if offset >= until} <= present.keys()
        undecided = {offset for offsets in self.open.values() for offset in offsets}
        valid = {offset: each for offset, each in self.history.items() if offset not in self.aborted | undecided}
        old = superseded(valid, until)
        assert not old & present.keys()
        assert not {offset for offset in self.aborted if offset < until} & present.keys()
        for offset, each in valid.items():
            if offset < until and offset not in old and offset not in present:
                assert each.value is None or offset in superseded(valid, log.log_end_offset)
        ends = [(head.base_offset, head.next_offset) for head, _ in found(log)]
        assert all(end <= start for (_, end), (start, _) in pairwise(ends))
        assert log.log_end_offset == self.end
        for number in range(3):
            if self.sequences[number]:
                assert log.producers.producers[number].last_sequence == self.sequences[number] - 1


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_is_written_and_whenever_it_is_cleaned_or_restarted(tmp_path: Path, seed: int) -> None:
    await Story(tmp_path, seed).run()
