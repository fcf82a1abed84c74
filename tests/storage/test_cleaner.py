"""Compaction: what stays, what goes and when, what must never move, and what happens when the log changes meanwhile."""

from __future__ import annotations

import errno
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from broker.host import File, real_host
from broker.host.files import RealFiles
from broker.storage.cleaning import Cleaned, Progress
from broker.storage.damage import examine
from broker.wire import batch as batches
from tests.cluster.processes import eventually
from tests.storage.cleaning import Compacted, data, found, random_value

DAY = 86_400_000


async def test_of_each_key_the_newest_value_stays_where_it_was(tmp_path: Path) -> None:
    kit = Compacted(tmp_path)
    log = await kit.open()
    for value in range(3):
        kit.put(("a", f"{value}"), ("b", f"{value}"))
    kit.put(("c", "only"))
    kit.roll()
    kit.put(("a", "active"))
    assert await kit.clean() == 1
    assert kit.offsets() == [4, 5, 6, 7]
    assert kit.state() == {"a": "active", "b": "2", "c": "only"}
    assert (log.log_start_offset, log.log_end_offset) == (0, 8)
    assert kit.dirs.cleaner.clean_until(log) == 7
    assert (tmp_path / "cleaner-offset-checkpoint").read_text() == "0\n1\nt 0 7\n"
    assert await kit.clean() == 0


async def test_reads_and_lookups_go_on_across_the_gaps(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, segment_bytes=300)
    log = await kit.open()
    for number in range(40):
        kit.clock.now_ms += 10
        kit.put(("same", f"{number}" * 20))
    await kit.clean()
    assert len([segment for segment in log.segments if segment.size == 0]) > 10
    kept = kit.offsets()
    assert kept[0] > 30
    for offset in range(log.log_end_offset):
        expected = next(each for each in kept if each >= offset)
        for limit in (1, 150, 10_000):
            head = batches.header(log.read(offset, limit, log.log_end_offset).records)
            assert head.last_offset == expected
    first = data(log)[0]
    assert log.offset_for_timestamp(0, log.log_end_offset)[:2] == (first.timestamp, first.offset)
    assert log.offset_for_timestamp(kit.clock.now_ms, log.log_end_offset).offset == 39
    assert log.max_timestamp().offset == 39
    assert log.bytes_available(0, log.log_end_offset) == log.size


async def test_a_tombstone_stays_until_its_horizon_has_passed(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, delete_retention_ms=1000, min_cleanable_dirty_ratio=0.0)
    log = await kit.open()
    kit.put(("a", "1"), ("b", "1"))
    kit.put(("a", None), ("b", "2"))
    kit.roll()
    kit.put(("x", "1"))
    await kit.clean()
    [(head, records), *_] = found(log)
    assert [(each.key, each.value, each.timestamp) for each in records] == [
        (b"a", None, kit.clock.now_ms),
        (b"b", b"2", kit.clock.now_ms),
    ]
    assert head.attributes & batches.DELETE_HORIZON
    assert head.base_timestamp == kit.clock.now_ms + 1000
    assert head.max_timestamp == kit.clock.now_ms

    for later, expected in ((999, {"a": None, "b": "2"}), (2, {"b": "2"})):
        kit.clock.now_ms += later
        kit.roll()
        kit.put(("x", f"{later}"))
        assert await kit.clean() == 1
        state = kit.state()
        del state["x"]
        assert state == expected
    [(head, _), *_] = found(log)
    assert (head.base_offset, head.last_offset, head.record_count) == (2, 3, 1)


@pytest.mark.parametrize("codec", range(5))
async def test_compressed_batches_are_filtered_and_stay_compressed(tmp_path: Path, codec: int) -> None:
    kit = Compacted(tmp_path, segment_bytes=10_000)
    log = await kit.open()
    kit.put(*((f"k{number}", "old" * 30) for number in range(10)), codec=codec)
    kit.put(*((f"k{number}", "new" * 30) for number in range(0, 10, 2)), codec=codec)
    kit.roll()
    await kit.clean()
    assert [each.offset for each in data(log)] == [1, 3, 5, 7, 9, *range(10, 15)]
    assert [(head.codec, head.base_offset, head.last_offset) for head, _ in found(log)] == [
        (codec, 0, 9),
        (codec, 10, 14),
    ]
    assert {each.headers for each in data(log)} == {(("h", b"x"),)}


async def test_batches_keep_their_timestamp_type_and_largest_timestamp(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, message_timestamp_type="LogAppendTime", segment_bytes=10_000)
    log = await kit.open()
    kit.put(("a", "1"), ("b", "1"), ("c", None))
    stamp, kit.clock.now_ms = kit.clock.now_ms, kit.clock.now_ms + 500
    kit.put(("a", "2"))
    kit.roll()
    await kit.clean()
    assert [(each.key, each.timestamp) for each in data(log)] == [(b"b", stamp), (b"c", stamp), (b"a", stamp + 500)]
    assert found(log)[0][0].has_log_append_time


async def test_the_last_batch_of_a_producer_stays_empty_for_its_sequence(tmp_path: Path) -> None:
    kit = Compacted(tmp_path)
    log = await kit.open()
    kit.put(("a", "1"), ("a", "2"), producer_id=5, producer_epoch=1, base_sequence=0)
    kit.put(("a", "3"), producer_id=5, producer_epoch=1, base_sequence=2)
    kit.put(("a", "4"))
    kit.put(("b", "1"))
    kit.roll()
    await kit.clean()
    shape = [(head.base_offset, head.record_count, head.producer_id, head.last_sequence) for head, _ in found(log)]
    assert shape == [(2, 0, 5, 2), (3, 1, -1, -1), (4, 1, -1, -1)]
    for snapshot in Path(log.directory).glob("*.snapshot"):
        snapshot.unlink()
    log = await kit.again()
    assert (log.producers.producers[5].last_sequence, log.producers.producers[5].epoch) == (2, 1)
    again = kit.put(("a", "3"), producer_id=5, producer_epoch=1, base_sequence=2)
    assert again == 2
    kit.put(("a", "5"), producer_id=5, producer_epoch=1, base_sequence=3)


async def test_what_aborted_transactions_wrote_goes_and_hides_nothing(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, delete_retention_ms=1000, min_cleanable_dirty_ratio=0.0, segment_bytes=10_000)
    log = await kit.open()
    transactional = {"producer_epoch": 0, "attributes": batches.TRANSACTIONAL}
    kit.put(("a", "good"), ("b", "good"))
    kit.put(("a", "bad"), ("c", "bad"), producer_id=1, base_sequence=0, **transactional)
    kit.put(("b", "better"), producer_id=2, base_sequence=0, **transactional)
    kit.mark(1, commit=False)
    kit.mark(2, commit=True)
    kit.put(("z", "1"), producer_id=1, base_sequence=2, producer_epoch=0)
    kit.put(("z", "1"), producer_id=2, base_sequence=1, producer_epoch=0)
    kit.roll()
    kit.put(("x", "1"))
    await kit.clean()
    assert kit.state() == {"a": "good", "b": "better", "z": "1", "x": "1"}
    control = [head.base_offset for head, _ in found(log) if head.is_control]
    assert control == [5, 6]

    for expected in ([5, 6], [6]):  # first the horizon is set, then the marker goes; the other's data is still there
        kit.clock.now_ms += 1001
        kit.roll()
        kit.put(("x", "2"))
        assert await kit.clean() == 1
        assert [head.base_offset for head, _ in found(log) if head.is_control] == expected
    assert kit.state() == {"a": "good", "b": "better", "z": "1", "x": "2"}


async def test_a_transaction_that_is_open_ends_what_may_be_cleaned(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, min_cleanable_dirty_ratio=0.0)
    log = await kit.open()
    kit.put(("a", "1"))
    kit.put(("a", "2"))
    kit.put(("a", "3"), producer_id=1, producer_epoch=0, base_sequence=0, attributes=batches.TRANSACTIONAL)
    kit.put(("a", "4"))
    kit.roll()
    kit.put(("x", "1"))
    assert await kit.clean() == 1
    assert kit.offsets() == [1, 2, 3, 4]
    assert kit.dirs.cleaner.clean_until(log) == 2
    kit.mark(1, commit=False)  # in the active segment, where the cleaner does not look
    assert await kit.clean() == 0
    assert kit.offsets() == [1, 2, 3, 4]
    kit.roll()
    kit.put(("x", "2"))
    assert await kit.clean() == 1
    assert kit.offsets() == [3, 4, 6]


async def test_dirt_below_the_ratio_waits_unless_it_is_overdue(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, min_cleanable_dirty_ratio=0.5, max_compaction_lag_ms=60_000, segment_bytes=10_000)
    await kit.open()
    for number in range(20):
        kit.put((f"k{number}", "v" * 50))
    kit.roll()
    kit.put(("k0", "new"))
    assert await kit.clean() == 1
    kit.roll()
    kit.put(("x", "1"))
    assert await kit.clean() == 0
    kit.clock.now_ms += 60_001
    assert await kit.clean() == 1
    assert 0 not in kit.offsets()


async def test_what_is_younger_than_the_lag_stays_dirty(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, min_compaction_lag_ms=10_000)
    log = await kit.open()
    kit.put(("a", "1"))
    kit.put(("a", "2"))
    kit.roll()
    kit.clock.now_ms += 9_000
    kit.put(("a", "3"))
    kit.roll()
    assert await kit.clean() == 0
    kit.clock.now_ms += 1_001
    assert await kit.clean() == 1
    assert kit.offsets() == [1, 2]
    assert kit.dirs.cleaner.clean_until(log) == 2


async def test_nothing_above_the_high_watermark_is_touched(tmp_path: Path) -> None:
    kit = Compacted(tmp_path)
    log = await kit.open()
    for number in range(6):
        kit.put(("a", f"{number}"))
    kit.roll()
    log.high_watermark = 3
    await kit.clean()
    assert kit.offsets() == [2, 3, 4, 5]


async def test_keys_beyond_the_memory_are_cleaned_in_the_next_rounds(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, min_cleanable_dirty_ratio=0.0)
    kit.broker = {"log_cleaner_dedupe_buffer_size": 3000}
    log = await kit.open()
    for turn in range(3):
        for number in range(40):
            kit.put((f"k{number}", f"{turn}"))
    kit.roll()
    rounds = 0
    while await kit.clean():
        rounds += 1
    assert rounds > 3
    assert kit.dirs.cleaner.clean_until(log) == 120
    assert kit.offsets() == list(range(80, 120))


async def test_small_segments_become_one(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, segment_bytes=2000)
    log = await kit.open()
    for number in range(30):
        kit.put((f"k{number % 3}", "v"))
        kit.roll()
    kit.put(("x", "1"))
    assert len(log.segments) == 31
    await kit.clean()
    assert kit.offsets() == [27, 28, 29, 30]
    await kit.clean()
    assert len(log.segments) <= 3
    assert [name for name in kit.names() if name.endswith(".log")] == [
        f"{segment.base:020d}.log" for segment in log.segments
    ]


async def test_nothing_is_written_anew_where_nothing_changes(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, segment_bytes=10_000)
    log = await kit.open()
    kit.put(*((f"k{number}", "v") for number in range(9)))
    kit.roll()
    [first, _] = log.segments
    assert await kit.clean() == 1
    assert log.segments[0] is first
    assert not [name for name in kit.names() if name.endswith((".cleaned", ".deleted"))]
    assert kit.dirs.cleaner.clean_until(log) == 9


async def test_compact_and_delete_does_both(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, cleanup_policy=("compact", "delete"), retention_ms=DAY, segment_bytes=200)
    log = await kit.open()
    kit.put(("a", "1"))
    kit.put(("a", "2"))
    kit.roll()
    kit.clock.now_ms += DAY - 1
    kit.put(("b", "1"))
    kit.roll()
    kit.put(("b", "2"))
    await kit.clean()
    assert kit.offsets() == [1, 2, 3]
    kit.clock.now_ms += 10
    await kit.dirs.housekeeping.apply_retention()
    assert kit.offsets() == [2, 3]
    assert log.log_start_offset == 2


async def test_a_damaged_log_is_cleaned_once_it_is_mended(tmp_path: Path) -> None:
    kit = Compacted(tmp_path)
    log = await kit.open()
    for number in range(4):
        kit.put(("a", f"{number}"))
    kit.roll()
    path = Path(log.segments[0].path(".log"))
    good = path.read_bytes()
    path.write_bytes(good[:70] + bytes([good[70] ^ 1]) + good[71:])
    for _ in range(3):
        assert await kit.clean() == 0
    assert [hole.first for hole in log.segments[0].holes.values()] == [0], "it is known, and will be mended"
    assert not kit.dirs.cleaner.is_uncleanable(log)
    assert not [name for name in kit.names() if name.endswith(".cleaned")]
    path.write_bytes(good)
    examine(log, log.segments[0])
    assert await kit.clean() == 1
    assert kit.state() == {"a": "3"}
    assert not kit.failures


async def test_a_log_that_cannot_be_cleaned_is_left_alone_until_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = Compacted(tmp_path)
    log = await kit.open()
    for number in range(4):
        kit.put(("a", f"{number}"))
    kit.roll()

    async def fail(*_: object) -> None:
        raise ValueError("whatever a worker finds wrong with it")

    monkeypatch.setattr(kit.dirs.cleaner, "_run", fail)
    for _ in range(3):
        assert await kit.clean() == 0
    assert kit.dirs.cleaner.is_uncleanable(log)
    assert [each.levelname for each in caplog.records if "cannot be cleaned" in each.message] == ["WARNING"]
    assert not kit.failures


class FullDisk(RealFiles):
    """No room for cleaned files."""

    def open(self, path: str, *, create: bool = False, mode: int = 0o644) -> File:
        if create and path.endswith(".index.cleaned"):
            raise OSError(self.code, "no", path)
        return super().open(path, create=create, mode=mode)

    code = errno.ENOSPC


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE, errno.EIO])
async def test_a_full_disk_is_waited_out_and_a_broken_one_goes_offline(tmp_path: Path, code: int) -> None:
    disk = FullDisk()
    disk.code = code
    kit = Compacted(tmp_path, disk)
    log = await kit.open()
    for number in range(4):
        kit.put(("a", f"{number}"))
    kit.roll()
    assert await kit.clean() == 0
    assert not list(tmp_path.glob("t-0/*.cleaned"))
    assert log.dir.is_offline == (code == errno.EIO)
    if code != errno.EIO:
        disk.code = 0
        kit.dirs.housekeeping._host.files.open = RealFiles().open  # type: ignore[method-assign]
        assert await kit.clean() == 1
        assert kit.offsets() == [3]


@pytest.mark.parametrize("moment", [Progress, Cleaned])
@pytest.mark.parametrize("what", ["truncate", "delete", "delete and create", "retention", "restart"])
async def test_a_log_that_changes_while_it_is_cleaned_is_not_touched(tmp_path: Path, what: str, moment: type) -> None:
    kit = Compacted(tmp_path, cleanup_policy=("compact", "delete"), retention_ms=DAY, segment_bytes=10_000)
    log = await kit.open()
    for number in range(6):
        kit.put(("a", f"{number}"))
        kit.put((f"k{number}", "v"))
    kit.roll()
    kit.put(("x", "1"))
    done: list[Any] = []

    def change(step: Any) -> None:
        if isinstance(step, moment) and not done:
            done.append(step)
            if what == "truncate":
                log.truncate_to(5)
            elif what == "restart":
                log.truncate_fully_and_start_at(50)
            elif what == "retention":
                kit.clock.now_ms += 2 * DAY
                log.delete_old_segments(kit.clock.now_ms)
            else:
                kit.dirs.delete("t", 0)
                if what == "delete and create":
                    kit.dirs.get_or_create("t", 0, None, kit.config, True)

    kit.workers.between = change
    assert await kit.clean() == 0
    assert done
    assert not list(tmp_path.glob("t-0/*.cleaned"))
    assert not kit.failures
    assert not kit.dirs.cleaner.is_uncleanable(log)
    if what == "truncate":
        assert kit.offsets() == [0, 1, 2, 3, 4]
        kit.put(("a", "again"))
        kit.roll()
        assert await kit.clean() == 1
        assert kit.state()["a"] == "again"
    elif what != "delete":
        again = kit.dirs.get("t", 0)
        assert again is not None
        assert data(again) == []


async def test_what_is_written_after_a_truncation_is_dirty_again(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, min_cleanable_dirty_ratio=0.0)
    log = await kit.open()
    for number in range(8):
        kit.put(("a", f"{number}"))
    kit.roll()
    await kit.clean()
    assert kit.dirs.cleaner.clean_until(log) == 8
    log.truncate_to(4)
    assert kit.dirs.cleaner.clean_until(log) == 0
    log = await kit.again()
    assert kit.dirs.cleaner.clean_until(log) == 0
    for number in range(8):
        kit.put(("b", f"{number}"))
    kit.roll()
    await kit.clean()
    assert kit.state() == {"b": "7"}


async def test_deleted_logs_and_damage_leave_no_line_in_the_checkpoint(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, min_cleanable_dirty_ratio=0.0)
    await kit.open()
    checkpoint = tmp_path / "cleaner-offset-checkpoint"
    for number in range(4):
        kit.put(("a", f"{number}"))
    kit.roll()
    await kit.clean()
    assert "t 0 4" in checkpoint.read_text()
    checkpoint.write_text("0\n7\nt 0 4")
    log = await kit.again()
    assert kit.dirs.cleaner.clean_until(log) == 0
    checkpoint.write_text("0\n2\ngone 3 17\nt 0 4\n")
    log = await kit.again()
    assert kit.dirs.cleaner.clean_until(log) == 4
    kit.put(("a", "5"))
    kit.roll()
    await kit.clean()
    assert checkpoint.read_text() == "0\n1\nt 0 5\n"
    kit.dirs.delete("t", 0)
    assert checkpoint.read_text() == "0\n0\n"


async def test_a_follower_copies_a_compacted_log_gaps_and_empty_batches_included(tmp_path: Path) -> None:
    kit = Compacted(tmp_path / "leader", segment_bytes=400)
    log = await kit.open()
    for number in range(40):
        kit.put(("same", f"{number}"), producer_id=3, producer_epoch=0, base_sequence=number)
    kit.put(("other", "1"))
    await kit.clean()
    assert kit.offsets()[0] > 0
    copy = Compacted(tmp_path / "follower", segment_bytes=300)
    follower = await copy.open()
    while follower.log_end_offset < log.log_end_offset:
        follower.append_as_follower(log.read(follower.log_end_offset, 200, log.log_end_offset).records)
    follower.high_watermark = follower.log_end_offset
    assert data(follower) == data(log)
    assert follower.producers.producers[3].last_sequence == 39
    await copy.clean()
    assert copy.state() == kit.state()
    follower = await copy.again()
    assert data(follower)[-1].offset == 40
    assert copy.state() == kit.state()


async def test_a_real_process_cleans_and_leaves_the_loop_alone(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, segment_bytes=200_000)
    log = await kit.open()
    workers = real_host().workers
    kit.dirs.cleaner._host = replace(kit.dirs.cleaner._host, workers=workers)
    dice = random.Random(1)
    expected: dict[str, str | None] = {}
    try:
        for _ in range(300):
            pairs = [(f"k{dice.randrange(200)}", random_value(dice)) for _ in range(20)]
            expected |= dict(pairs)
            kit.put(*pairs)
        kit.roll()
        assert await kit.clean() == 1
        assert kit.state() == expected
        assert len(data(log)) == len(expected)
        Path(log.segments[0].path(".log")).write_bytes(b"x" * log.segments[0].size)
        kit.put(*((f"k{number}", "v" * 200) for number in range(200)))
        kit.roll()
        assert await kit.clean() == 0
        assert log.segments[0].holes  # the error came back from the process
    finally:
        workers.close()


async def test_a_clean_that_is_stopped_ends_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    kit = Compacted(tmp_path, segment_bytes=50_000)
    kit.broker = {"log_cleaner_io_max_bytes_per_second": 1.0, "log_cleaner_backoff_ms": 0}
    await kit.open()
    workers = real_host().workers
    kit.dirs.cleaner._host = replace(kit.dirs.cleaner._host, workers=workers)
    try:
        for number in range(300):
            kit.put(("a", f"{number}"))
        kit.roll()
        kit.dirs.cleaner.start()

        async def writing() -> bool:
            return any(name.endswith(".cleaned") for name in kit.names())

        await eventually("the worker writes", writing)
        await kit.dirs.cleaner.stop()
        assert not [name for name in kit.names() if name.endswith(".cleaned")]
        assert len(kit.offsets()) == 300
        children = [each.as_dict(["cmdline"], ad_value=[])["cmdline"] for each in psutil.Process().children()]
        assert not [words for words in children if "spawn_main" in " ".join(words)]  # zombies have no words
    finally:
        workers.close()
