"""Bits that flip, files that go: nothing but what was written is handed out, and another replica's bytes mend it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.storage.damage import Damaged, accept, holes_of, mend
from broker.storage.log import Log
from broker.wire import batch as batches
from broker.wire.errors import ErrorCode, KafkaError
from tests.storage.support import NOW, append, batch, new_log, reopen

COUNT = 60


def written(path: Path, segment_bytes: int = 1000, pad: int = 0) -> Log:
    """60 batches of one to three records in epochs 0, 2 and 5, in several segments."""
    log = new_log(path, segment_bytes=segment_bytes, index_interval_bytes=300)
    for number in range(COUNT):
        epoch = (0, 2, 5)[number // 20]
        values = [b"%03d-%d" % (number, each) + bytes(pad) for each in range(1 + number % 3)]
        log.append_as_leader(batch(values, timestamp=NOW + number), epoch, NOW)
    log.high_watermark = log.log_end_offset
    return log


def read_batch(log: Log, offset: int) -> bytes:
    return bytes(log.read(offset, 1, log.log_end_offset).records)


def everything(log: Log) -> Iterator[tuple[int, bytes]]:
    """(offset, batch) by reading one batch after another."""
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        found = read_batch(log, offset)
        yield offset, found
        offset = batches.header(found).next_offset


def mended(log: Log, other: Log) -> None:
    """What ``replication.repairs`` does, with another log in the place of another replica."""
    for _ in range(100):
        holes = holes_of(log)
        if not holes:
            return
        segment, hole = holes[0]
        records = other.read(hole.first, 1 << 20, other.log_end_offset).records
        assert mend(log, segment, hole, records), hole
    raise AssertionError("it does not end")


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def check_all(log: Log, truth: dict[int, bytes], sizes: tuple[int, ...] = (1, 400, 1 << 20)) -> int:
    """Read from every batch on, by several sizes: bytes that were written, or an error; how many errors."""
    errors = 0
    whole = b"".join(truth.values())
    for offset, expected in truth.items():
        for size in sizes:
            try:
                found = bytes(log.read(offset, size, log.log_end_offset).records)
            except Damaged as error:
                assert error.code == ErrorCode.KAFKA_STORAGE_ERROR
                errors += 1
                continue
            assert found.startswith(expected), offset
            assert found in whole
    return errors


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_is_never_handed_out_and_mended_with_the_bytes_of_another(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    other = written(tmp_path / "other")
    truth = dict(everything(other))
    log = written(tmp_path / "log")
    files = sorted((tmp_path / "log/t-0").glob("*.log"))
    for _ in range(1 + seed % 3):
        victim = dice.choice(files)
        flip(victim, dice.randrange(victim.stat().st_size * 8))
    assert check_all(log, truth) > 0
    mended(log, other)
    assert check_all(log, truth) == 0
    assert dict(everything(log)) == truth
    assert [file.read_bytes() for file in files] == [
        file.read_bytes() for file in sorted((tmp_path / "other/t-0").glob("*.log"))
    ]


@pytest.mark.parametrize("bit", range(0, 27 * 8, 5))
def test_every_field_before_the_records_is_looked_at(tmp_path: Path, bit: int) -> None:
    log = written(tmp_path)
    truth = dict(everything(log))
    first = sorted((tmp_path / "t-0").glob("*.log"))[1]
    size = batches.size_at(first.read_bytes())
    flip(first, size * 8 + bit)  # of the second batch of the second segment
    assert check_all(log, truth) > 0
    assert len(holes_of(log)) == 1


@pytest.mark.parametrize("suffix", ["index", "timeindex"])
def test_a_flipped_bit_in_an_index_changes_no_answer(tmp_path: Path, suffix: str) -> None:
    origin = written(tmp_path / "origin", 16_000, 300)
    origin.seal()
    truth = dict(everything(origin))
    names = [Path(segment.path(f".{suffix}")).name for segment in origin.segments]
    size = min((tmp_path / "origin/t-0" / name).stat().st_size for name in names)
    assert (len(names), size > 100) == (3, True)
    for bit in range(0, size * 8, 13):
        shutil.copytree(tmp_path / "origin", tmp_path / str(bit))
        for name in names:
            flip(tmp_path / str(bit) / "t-0" / name, bit)
        log = reopen(tmp_path / str(bit), clean=True, config={"segment_bytes": 16_000})
        assert check_all(log, truth, (1, 1 << 20)) == 0
        for number in range(0, COUNT, 7):
            wanted = NOW + number, log.log_end_offset
            assert log.offset_for_timestamp(*wanted) == origin.offset_for_timestamp(*wanted)


@pytest.mark.parametrize("clean", [True, False])
def test_a_file_that_is_gone_is_a_hole_not_a_jump(tmp_path: Path, clean: bool) -> None:
    truth = dict(everything(written(tmp_path / "log")))
    end = written(tmp_path / "other").log_end_offset
    gone = sorted((tmp_path / "log/t-0").glob("*.log"))[2]
    gone.unlink()
    log = reopen(tmp_path / "log", clean=clean, recovery_point=end, high_watermark=end)
    assert log.log_end_offset == end
    assert check_all(log, truth) > 0
    [(segment, hole)] = holes_of(log)
    assert hole.first == int(gone.stem)
    accept(log, segment, hole)  # as when no other replica has anything there either
    assert (
        check_all(
            log, {offset: each for offset, each in truth.items() if not hole.first <= offset < hole.following}, (1,)
        )
        == 0
    )


@pytest.mark.parametrize("clean", [True, False])
def test_a_first_file_that_is_gone_does_not_move_the_log_start(tmp_path: Path, clean: bool) -> None:
    log = written(tmp_path)
    truth = dict(everything(log))
    first, second = sorted((tmp_path / "t-0").glob("*.log"))[:2]
    first.unlink()
    end = log.log_end_offset
    again = reopen(tmp_path, clean=clean, recovery_point=end, high_watermark=end)
    assert again.log_start_offset == 0
    assert check_all(again, truth) > 0
    [(segment, hole)] = holes_of(again)
    accept(again, segment, hole)
    assert again.log_start_offset == int(second.stem)
    assert dict(everything(again)) == {offset: each for offset, each in truth.items() if offset >= int(second.stem)}


@pytest.mark.parametrize("clean", [True, False])
def test_swapped_files_are_not_handed_out(tmp_path: Path, clean: bool) -> None:
    log = written(tmp_path)
    truth = dict(everything(log))
    log.close()
    one, two = sorted((tmp_path / "t-0").glob("*.log"))[1:3]
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    end = log.log_end_offset
    again = reopen(tmp_path, clean=clean, recovery_point=end, high_watermark=end)
    assert again.log_end_offset == end
    assert check_all(again, truth) > 0
    assert {hole.first for _, hole in holes_of(again)} == {int(one.stem), int(two.stem)}


def test_recovery_keeps_what_follows_damage_below_what_was_committed(tmp_path: Path) -> None:
    other = written(tmp_path / "other")
    truth = dict(everything(other))
    log = written(tmp_path / "log")
    log.close()
    victim = sorted((tmp_path / "log/t-0").glob("*.log"))[1]
    flip(victim, 300 * 8)
    again = reopen(tmp_path / "log", high_watermark=log.log_end_offset, config={"segment_bytes": 2000})
    assert again.log_end_offset == log.log_end_offset
    assert len(holes_of(again)) == 1
    mended(again, other)
    assert dict(everything(again)) == truth


@pytest.mark.parametrize("bit", range(0, 64, 3))
@pytest.mark.parametrize("last", [True, False])
def test_a_base_offset_that_changed_does_not_stop_the_recovery(tmp_path: Path, bit: int, last: bool) -> None:
    log = written(tmp_path)
    truth = dict(everything(log))
    log.close()
    victim = max((tmp_path / "t-0").glob("*.log"))
    at = [at for at, _ in batches.headers(victim.read_bytes())][-1 if last else 2]
    flip(victim, at * 8 + bit)
    again = reopen(tmp_path, config={"segment_bytes": 1000})
    assert again.log_end_offset in truth
    assert dict(everything(again)) == {offset: each for offset, each in truth.items() if offset < again.log_end_offset}
    assert again.may_lack_committed == (not last)


@pytest.mark.parametrize(("place", "bit"), [(0, 0), (0, 7), (14, 1), (19, 7), (20, 7), (30, 7), (39, 2), (45, 3)])
def test_a_leader_epoch_that_grew_does_not_make_all_that_follows_look_old(tmp_path: Path, place: int, bit: int) -> None:
    """The CRC does not cover it. Believed, it would be asked for of a leader that knows nothing of such an epoch."""
    log = written(tmp_path)
    other = written(tmp_path / "other")
    epochs, truth = log.leader_epochs.entries(), dict(everything(log))
    offset = list(truth)[place]
    segment = log.segments_from(offset)[0]
    position = next(at for at, head in segment.batches() if head.base_offset == offset)
    log.close()
    flip(tmp_path / f"t-0/{segment.base:020d}.log", (position + 15) * 8 + bit)
    again = reopen(tmp_path, high_watermark=log.high_watermark, config={"segment_bytes": 1000})
    assert [hole.following - hole.first for _, hole in holes_of(again)] == [1 + place % 3], "one batch"
    mended(again, other)
    assert again.leader_epochs.entries() == epochs
    assert dict(everything(again)) == truth


def test_recovery_cuts_damage_above_what_was_committed(tmp_path: Path) -> None:
    log = written(tmp_path)
    log.close()
    victim = max((tmp_path / "t-0").glob("*.log"))
    flip(victim, 300 * 8)
    again = reopen(tmp_path, high_watermark=int(victim.stem), config={"segment_bytes": 2000})
    assert int(victim.stem) <= again.log_end_offset < log.log_end_offset
    assert not holes_of(again)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize(("old", "new"), [("2 39", "2 59"), ("2 39", "2 19"), ("5 79", "7 79"), ("5 79", "4 79")])
def test_a_digit_of_the_epoch_file_that_changed_is_put_right(tmp_path: Path, clean: bool, old: str, new: str) -> None:
    log = written(tmp_path)
    log.close()
    entries = log.leader_epochs.entries()
    assert entries == [(0, 0), (2, 39), (5, 79)]
    path = tmp_path / "t-0/leader-epoch-checkpoint"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    end = log.log_end_offset
    again = reopen(tmp_path, clean=clean, recovery_point=end, high_watermark=end, config={"segment_bytes": 2000})
    assert again.leader_epochs.entries() == entries
    assert not holes_of(again)


def test_a_log_start_beyond_the_high_watermark_is_not_believed(tmp_path: Path) -> None:
    log = written(tmp_path)
    log.close()
    end = log.log_end_offset
    again = reopen(tmp_path, clean=True, recovery_point=end, high_watermark=end, log_start_offset=end + 1000)
    assert (again.log_start_offset, again.log_end_offset) == (0, end)


def test_a_truncation_into_damage_leaves_nothing_behind(tmp_path: Path) -> None:
    log = written(tmp_path)
    segment = log.segments[1]
    at, head = next((at, head) for at, head in segment.batches() if head.record_count == 3 and at)
    flip(Path(segment.path(".log")), (at + 9) * 8)  # its length, so that headers cannot be walked any more
    log.truncate_to(head.base_offset + 1)
    assert log.log_end_offset == head.base_offset
    assert log.may_lack_committed, "it knew what it cut with the damage to be committed"
    append(log, 3, epoch=9)
    found = log.read(head.base_offset, 1 << 20, log.log_end_offset).records
    assert [each.base_offset for _, each in batches.headers(found)] == [head.base_offset]


def test_what_nobody_has_is_told_as_corrupt(tmp_path: Path) -> None:
    log = written(tmp_path)
    flip(Path(log.segments[1].path(".log")), 100 * 8)
    with pytest.raises(Damaged):
        check_first = log.segments[1].base
        while True:
            check_first = batches.header(read_batch(log, check_first)).next_offset
    [(_, hole)] = holes_of(log)
    hole.is_hopeless = True
    with pytest.raises(KafkaError) as told:
        log.read(hole.first, 100, log.log_end_offset)
    assert told.value.code == ErrorCode.CORRUPT_MESSAGE
    assert log.read(hole.following, 100, log.log_end_offset).records
