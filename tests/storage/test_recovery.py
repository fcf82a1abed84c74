"""What is found again after a crash, a clean stop, damage, and interrupted deletions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from broker.host import LogDirFailed
from broker.storage.log import Log
from broker.storage.producer_state import SnapshotCorrupt, decode
from broker.storage.recovery import OldFormat
from broker.wire import batch as batches
from tests.storage.support import NOW, FailingFiles, append, contents, idempotent, new_log, reopen, shape

SEGMENT = f"{0:020d}"


def log_file(path: Path, base: int = 0) -> Path:
    return path / "t-0" / f"{base:020d}.log"


def written(path: Path, count: int = 8, **config: int) -> Log:
    """A log of ``count`` batches of one producer, closed as a killed broker leaves it."""
    log = new_log(path, **config)
    for sequence in range(count):
        log.append_as_leader(idempotent(sequence, timestamp=NOW + sequence), 1 + sequence // 4, NOW)
    log.close()
    return log


@pytest.mark.parametrize("filler", ["cut", "zeros", "junk"])
def test_a_torn_tail_is_cut_at_the_last_whole_batch(tmp_path: Path, filler: str) -> None:
    written(tmp_path / "origin")
    whole = log_file(tmp_path / "origin").read_bytes()
    starts = [at for at, _ in batches.headers(whole)]
    ends = [*starts[1:], len(whole)]
    for torn in range(1, 201):
        path = tmp_path / "again"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(tmp_path / "origin", path)
        tail = {"cut": b"", "zeros": bytes(torn), "junk": b"\xa5\x5a\x07" * torn}[filler]
        damaged = whole[:-torn] + tail[:torn]
        log_file(path).write_bytes(damaged)
        log = reopen(path)
        kept = next(index for index, end in enumerate([*ends, -1]) if end < 0 or damaged[:end] != whole[:end])
        assert log.log_end_offset == kept
        assert log_file(path).read_bytes() == whole[: starts[kept] if kept < len(starts) else len(whole)]
        assert log.producers.producers[7].last_sequence == kept - 1
        assert all(start < log.log_end_offset for _, start in log.leader_epochs.entries())
        log.append_as_leader(idempotent(kept), 9, NOW)
        assert log.log_end_offset == kept + 1
        log.close()


def test_every_flipped_bit_that_the_crc_covers_is_found(tmp_path: Path) -> None:
    written(tmp_path, 3)
    whole = bytearray(log_file(tmp_path).read_bytes())
    second = [at for at, _ in batches.headers(whole)][1]
    size = batches.size_at(whole, second)
    for at in [8, 9, 10, 11, 16, *range(17, size)]:
        for bit in (0, 7):
            damaged = bytearray(whole)
            damaged[second + at] ^= 1 << bit
            log_file(tmp_path).write_bytes(damaged)
            log = reopen(tmp_path)
            assert log.log_end_offset == 1, (at, bit)
            log.close()


def test_segments_after_a_cut_are_removed(tmp_path: Path) -> None:
    log = new_log(tmp_path, segment_bytes=300)
    append(log, *([1] * 12))
    bases = [segment.base for segment in log.segments]
    log.close()
    assert len(bases) > 3
    damaged = bytearray(log_file(tmp_path, bases[1]).read_bytes())
    damaged[-1] ^= 1
    log_file(tmp_path, bases[1]).write_bytes(damaged)
    again = reopen(tmp_path)
    assert again.log_end_offset == bases[2] - 1
    assert [segment.base for segment in again.segments] == bases[:2]
    left = {name.name for name in (tmp_path / "t-0").iterdir() if name.suffix in {".log", ".index", ".timeindex"}}
    assert left == {f"{base:020d}{suffix}" for base in bases[:2] for suffix in (".log", ".index", ".timeindex")}


@pytest.mark.parametrize("what", ["truncate", "restart", "drop the oldest"])
def test_a_loss_of_power_between_renames_leaves_no_gap(tmp_path: Path, what: str) -> None:
    for failing in range(1, 100):
        path, disk = tmp_path / str(failing), FailingFiles(0)
        log = new_log(path, disk, segment_bytes=300)
        append(log, *([3] * 5), epoch=1)
        append(log, *([3] * 5), epoch=2)
        log.high_watermark = end = log.log_end_offset
        disk.calls, disk.fail_at = 0, failing
        log.dir.remove_later = lambda paths, delay_ms: None
        try:
            if what == "truncate":
                log.truncate_to(6)
            elif what == "restart":
                log.truncate_fully_and_start_at(1000)
            else:
                log.drop_oldest(3, NOW)
        except (LogDirFailed, OSError):
            log.close()
            again = reopen(path, recovery_point=end)
            assert not any(segment.holes for segment in again.segments), failing
            assert contents(again) or again.log_start_offset == again.log_end_offset
            again.close()
        else:
            assert failing > 5, "it was interrupted again and again"
            return
    raise AssertionError("it never ends")


def test_segments_below_the_recovery_point_are_trusted(tmp_path: Path) -> None:
    log = new_log(tmp_path, segment_bytes=300)
    append(log, *([1] * 12))
    bases = [segment.base for segment in log.segments]
    log.close()
    damaged = bytearray(log_file(tmp_path).read_bytes())
    damaged[-1] ^= 1
    log_file(tmp_path).write_bytes(damaged)
    again = reopen(tmp_path, recovery_point=bases[2])
    assert again.log_end_offset == 12
    assert again.recovery_point == bases[2]


def test_recovery_rebuilds_indexes(tmp_path: Path) -> None:
    config = {"segment_bytes": 3000, "index_interval_bytes": 100}
    log = new_log(tmp_path, **config)
    append(log, *([1, 2] * 30))
    log.seal()
    files = sorted((tmp_path / "t-0").glob("*index"))
    before = {file.name: file.read_bytes() for file in files}
    assert sum(len(content) for content in before.values()) > 200
    log.close()
    for file in files:
        file.write_bytes(b"\x00" * 7)
    again = reopen(tmp_path, config=config)
    assert {file.name: file.read_bytes() for file in files} == before
    assert again.log_end_offset == 90
    again.close()
    for file in files[:4]:
        file.unlink()
    clean = reopen(tmp_path, clean=True, config=config)
    assert {file.name: file.read_bytes() for file in files} == before
    assert clean.log_end_offset == 90


def test_kafkas_zero_padded_indexes_are_read_and_continued(tmp_path: Path) -> None:
    config = {"index_interval_bytes": 100}
    log = new_log(tmp_path, **config)
    append(log, *([1] * 20), timestamp=NOW)
    append(log, *([1] * 20), timestamp=NOW + 5)
    log.seal()
    log.close()
    for file in (tmp_path / "t-0").glob("*index"):
        file.write_bytes(file.read_bytes() + bytes(4800))
    again = reopen(tmp_path, clean=True, config=config)
    assert again.log_end_offset == 40
    assert batches.header(again.read(33, 1, 40).records).base_offset == 33
    assert again.offset_for_timestamp(NOW + 5, 40).offset == 20
    append(again, *([1] * 20), timestamp=NOW + 9)
    again.seal()
    for file in (tmp_path / "t-0").glob("*index"):
        entry = 8 if file.suffix == ".index" else 12
        content = file.read_bytes()
        assert bytes(entry) not in [content[at : at + entry] for at in range(0, len(content), entry)]
    assert again.offset_for_timestamp(NOW + 9, 60).offset == 40


def test_a_clean_restart_finds_everything_without_reading_data(tmp_path: Path) -> None:
    config = {"segment_bytes": 2000, "index_interval_bytes": 300}
    log = new_log(tmp_path, **config)
    for sequence in range(50):
        log.append_as_leader(idempotent(sequence), 1 + sequence // 20, NOW + sequence)
    log.seal()
    log.close()
    first = bytearray(log_file(tmp_path).read_bytes())
    first[100] ^= 1
    log_file(tmp_path).write_bytes(first)
    again = reopen(tmp_path, clean=True, config=config, high_watermark=45, log_start_offset=3)
    assert (again.log_start_offset, again.high_watermark, again.log_end_offset) == (3, 45, 50)
    assert again.leader_epochs.entries() == [(1, 3), (2, 20), (3, 40)]
    assert again.producers.producers[7].last_sequence == 49
    assert again.recovery_point == 50
    assert again.append_as_leader(idempotent(49), 3, NOW).duplicate
    assert not again.append_as_leader(idempotent(50), 3, NOW).duplicate


def test_a_clean_mark_over_a_torn_tail_does_not_hide_it(tmp_path: Path) -> None:
    written(tmp_path)
    content = log_file(tmp_path).read_bytes()
    log_file(tmp_path).write_bytes(content[:-3])
    assert reopen(tmp_path, clean=True).log_end_offset == 7


def test_offsets_are_clamped_to_the_log(tmp_path: Path) -> None:
    written(tmp_path)
    assert reopen(tmp_path, high_watermark=100).high_watermark == 8
    assert reopen(tmp_path, high_watermark=0, log_start_offset=4).high_watermark == 4
    beyond = reopen(tmp_path, log_start_offset=20)
    assert (beyond.log_start_offset, beyond.log_end_offset) == (20, 20)
    append(beyond, 1, epoch=2)
    assert [base for base, _, _ in shape(beyond)] == [20]


def test_leftovers_of_deletion_and_cleaning(tmp_path: Path) -> None:
    log = new_log(tmp_path, segment_bytes=300)
    append(log, *([1] * 9))
    bases = [segment.base for segment in log.segments]
    whole = contents(log)
    log.close()
    directory = tmp_path / "t-0"
    (directory / f"{99:020d}.log.deleted").write_bytes(b"x")
    (directory / f"{0:020d}.log.cleaned").write_bytes(b"x")
    (directory / f"{bases[1]:020d}.log.swap").write_bytes(b"x")
    (directory / f"{50:020d}.index").write_bytes(b"")
    (directory / "leader-epoch-checkpoint.tmp").write_bytes(b"x")
    assert contents(reopen(tmp_path)) == whole
    left = {file.name for file in directory.iterdir()}
    assert not [
        name
        for name in left
        if name.endswith((".deleted", ".cleaned", ".swap", ".tmp")) or name.startswith(f"{50:020d}")
    ]


def test_an_interrupted_swap_is_completed(tmp_path: Path) -> None:
    log = new_log(tmp_path, segment_bytes=300)
    append(log, *([1] * 9))
    bases = [segment.base for segment in log.segments]
    log.close()
    merged = log_file(tmp_path, bases[0]).read_bytes() + log_file(tmp_path, bases[1]).read_bytes()
    compacted = merged[batches.size_at(merged) :]
    directory = tmp_path / "t-0"
    (directory / f"{bases[0]:020d}.log.swap").write_bytes(compacted)
    again = reopen(tmp_path, clean=True)
    assert [segment.base for segment in again.segments] == [bases[0], *bases[2:]]
    assert [base for base, _, _ in shape(again)] == list(range(1, 9))


def test_a_damaged_epoch_checkpoint_is_rebuilt_from_the_batches(tmp_path: Path) -> None:
    log = written(tmp_path)
    entries = log.leader_epochs.entries()
    checkpoint = tmp_path / "t-0" / "leader-epoch-checkpoint"
    for damage in (b"", b"0\n5\n1 0\n", b"\x00\xff"):
        checkpoint.write_bytes(damage)
        assert reopen(tmp_path, clean=damage == b"", recovery_point=8).leader_epochs.entries() == entries


def test_messages_of_an_old_format_are_refused_rather_than_cut(tmp_path: Path) -> None:
    from zlib import crc32

    body = b"\x01\x00" + NOW.to_bytes(8, "big") + b"\xff\xff\xff\xff" + (3).to_bytes(4, "big") + b"old"
    message = crc32(body).to_bytes(4, "big") + body
    written(tmp_path, 2)
    old = (2).to_bytes(8, "big") + len(message).to_bytes(4, "big") + message
    with log_file(tmp_path).open("ab") as file:
        file.write(old)
    with pytest.raises(OldFormat):
        reopen(tmp_path)
    assert log_file(tmp_path).read_bytes().endswith(old)


def test_producer_snapshots_survive_a_restart_and_damage(tmp_path: Path) -> None:
    config = {"segment_bytes": 500}
    log = new_log(tmp_path, **config)
    for sequence in range(12):
        log.append_as_leader(idempotent(sequence), 1, NOW)
    log.append_as_leader(idempotent(0x7FFFFFFF, producer_id=8), 1, NOW)
    log.seal()
    log.close()
    snapshots = sorted((tmp_path / "t-0").glob("*.snapshot"))
    assert snapshots[-1].name == f"{13:020d}.snapshot"
    assert sorted(decode(snapshots[-1].read_bytes())) == [7, 8]
    again = reopen(tmp_path, clean=True, config=config)
    assert again.producers.producers[7].last_sequence == 11
    assert again.append_as_leader(idempotent(0x7FFFFFFF, producer_id=8), 1, NOW).duplicate
    again.close()
    for snapshot in snapshots[1:]:
        content = bytearray(snapshot.read_bytes())
        content[-1] ^= 1
        snapshot.write_bytes(content)
        with pytest.raises(SnapshotCorrupt):
            decode(bytes(content))
    rebuilt = reopen(tmp_path, clean=True, config=config)
    assert rebuilt.producers.producers[7].last_sequence == 11
    assert len(rebuilt.producers.producers[7].batches) == 5
    assert rebuilt.producers.producers[8].last_sequence == 0x7FFFFFFF


def test_snapshots_of_no_segment_are_removed_save_the_newest(tmp_path: Path) -> None:
    written(tmp_path)
    for offset in (3, 5, 8):
        shutil.copy(tmp_path / "t-0/leader-epoch-checkpoint", tmp_path / f"t-0/{offset:020d}.snapshot")
    log = reopen(tmp_path)
    assert [path.name for path in (tmp_path / "t-0").glob("*.snapshot")] == []
    assert log.producers.producers[7].last_sequence == 7


def test_producers_expire(tmp_path: Path) -> None:
    log = written(tmp_path)
    log.producers.expire(NOW, 2000)
    assert log.producers.expire(NOW + 1000, 2000) == 0
    assert log.producers.expire(NOW + 5000, 2000) == 1
    log = new_log(tmp_path / "txn")
    log.append_as_leader(idempotent(0, attributes=batches.TRANSACTIONAL), 1, NOW)
    assert [log.producers.expire(NOW + 10**9, 1) for _ in range(2)] == [0, 0]


def test_a_clock_that_jumps_makes_nobody_forget_who_writes(tmp_path: Path) -> None:
    """Seed 500140: after a restart with a clock three days ahead a retry was taken for a new producer's."""
    days = NOW + 3 * 86_400_000
    log = written(tmp_path)
    assert log.producers.expire(days, 86_400_000) == 0
    log = reopen(tmp_path)
    assert log.producers.expire(days, 86_400_000) == 0
    assert log.producers.producers[7].last_sequence == 7
    assert log.producers.expire(days, 86_400_000) == 1


def test_a_topic_id_is_written_down(tmp_path: Path) -> None:
    from uuid import UUID

    log = new_log(tmp_path)
    log.set_topic_id(UUID(int=12345))
    assert reopen(tmp_path).topic_id == UUID(int=12345)
    text = (tmp_path / "t-0/partition.metadata").read_text()
    assert text.startswith("version: 0\ntopic_id: AAAA")
