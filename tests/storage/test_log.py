"""Append, read, roll, truncate: one log on real files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.host import LogDirFailed
from broker.storage.log import Log, Origin, UnexpectedAppendOffset
from broker.wire import batch as batches
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.records import ControlRecord, control_batch, read_all, read_records
from tests.storage.support import NOW, FailingFiles, append, batch, contents, idempotent, new_log, reopen, shape


def refusal(log: Log, records: Any, **options: Any) -> ErrorCode:
    """The code with which an append is refused; nothing may have been written."""
    end, size = log.log_end_offset, log.size
    with pytest.raises(KafkaError) as caught:
        log.append_as_leader(records, 0, NOW, **options)
    assert (log.log_end_offset, log.size) == (end, size)
    return caught.value.code


def test_an_append_assigns_offsets_and_the_leader_epoch_in_place(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    first = log.append_as_leader(batch([b"a", b"b"]), 3, NOW)
    second = log.append_as_leader(memoryview(batch([b"c"])), 3, NOW)
    third = log.append_as_leader(bytes(batch([b"d"])), 4, NOW)
    assert [(i.first_offset, i.last_offset, i.records) for i in (first, second, third)] == [
        (0, 1, 2),
        (2, 2, 1),
        (3, 3, 1),
    ]
    assert shape(log) == [(0, 1, 3), (2, 2, 3), (3, 3, 4)]
    assert all(batches.crc_matches(contents(log), at) for at, _ in batches.headers(contents(log)))
    assert [(record.offset, record.value) for record in read_all(contents(log))] == [
        (0, b"a"),
        (1, b"b"),
        (2, b"c"),
        (3, b"d"),
    ]
    assert log.leader_epochs.entries() == [(3, 0), (4, 3)]


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_compressed_batches_are_kept_as_they_are(tmp_path: Path, codec: int) -> None:
    log = new_log(tmp_path)
    sent = batch([b"value " * 50] * 20, codec=codec)
    log.append_as_leader(bytearray(sent), 0, NOW)
    assert contents(log)[batches.ATTRIBUTES_AT :] == sent[batches.ATTRIBUTES_AT :]
    assert len(list(read_all(contents(log)))) == 20


@pytest.mark.parametrize(("kind", "codec"), [("uncompressed", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)])
def test_compression_type_of_the_topic_wins(tmp_path: Path, kind: str, codec: int) -> None:
    log = new_log(tmp_path, compression_type=kind)
    for sent in range(5):
        log.append_as_leader(batch([b"value " * 50] * 5, codec=sent), 0, NOW)
    stored = contents(log)
    assert {head.codec for _, head in batches.headers(stored)} == {codec}
    assert all(batches.crc_matches(stored, at) for at, _ in batches.headers(stored))
    assert [record.offset for record in read_all(stored)] == list(range(25))


def test_log_append_time_stamps_the_batch(tmp_path: Path) -> None:
    log = new_log(tmp_path, message_timestamp_type="LogAppendTime")
    info = log.append_as_leader(batch(3, timestamp=5), 0, NOW)
    assert info.log_append_time == NOW
    stored = contents(log)
    assert batches.crc_matches(stored)
    assert {record.timestamp for record in read_records(stored)} == {NOW}


def test_a_wrong_maximum_timestamp_is_corrected(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    sent = batch(2, timestamp=100)
    batches.patch_timestamps(sent, 0, log_append_time=False, max_timestamp=999_999)
    assert log.append_as_leader(sent, 0, NOW).max_timestamp == 101
    assert batches.header(contents(log)).max_timestamp == 101
    assert batches.crc_matches(contents(log))


def test_what_lies_about_itself_is_refused(tmp_path: Path) -> None:
    log = new_log(tmp_path, max_message_bytes=1000)

    def changed(at: int, data: bytes, good_crc: bool = True) -> bytearray:
        made = batch(3)
        made[at : at + len(data)] = data
        if good_crc:
            made[17:21] = batches.computed_crc(made).to_bytes(4, "big")
        return made

    assert refusal(log, changed(70, b"\xff", good_crc=False)) == ErrorCode.CORRUPT_MESSAGE
    assert refusal(log, changed(57, (2).to_bytes(4, "big"))) == ErrorCode.INVALID_RECORD
    assert refusal(log, changed(23, (7).to_bytes(4, "big"))) == ErrorCode.INVALID_RECORD
    both = changed(57, (4).to_bytes(4, "big"))
    both[23:27] = (3).to_bytes(4, "big")
    both[17:21] = batches.computed_crc(both).to_bytes(4, "big")
    assert refusal(log, both) == ErrorCode.INVALID_RECORD
    assert refusal(log, changed(61, b"\x50")) == ErrorCode.INVALID_RECORD
    assert refusal(log, changed(64, b"\x04")) == ErrorCode.INVALID_RECORD  # offset delta 2 in record 0
    assert refusal(log, changed(0, (5).to_bytes(8, "big"))) == ErrorCode.INVALID_RECORD
    assert refusal(log, changed(22, bytes([batches.CONTROL | batches.TRANSACTIONAL]))) == ErrorCode.INVALID_RECORD
    assert refusal(log, changed(22, bytes([batches.LOG_APPEND_TIME]))) == ErrorCode.INVALID_TIMESTAMP
    assert refusal(log, changed(16, b"\x01")) == ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT
    assert refusal(log, batch(1) + batch(1)) == ErrorCode.INVALID_RECORD
    assert refusal(log, batch(1)[:-1]) == ErrorCode.INVALID_RECORD
    assert refusal(log, b"") == ErrorCode.CORRUPT_MESSAGE
    assert refusal(log, batch([b"x" * 1000])) == ErrorCode.MESSAGE_TOO_LARGE
    assert refusal(log, batch(1, producer_id=3, producer_epoch=0)) == ErrorCode.INVALID_RECORD
    assert log.log_end_offset == 0


def test_settings_of_the_topic_are_enforced(tmp_path: Path) -> None:
    compacted = new_log(tmp_path / "a", cleanup_policy=("compact",))
    with pytest.raises(KafkaError) as caught:
        compacted.append_as_leader(batch(2, key=None), 0, NOW)
    assert caught.value.code == ErrorCode.INVALID_RECORD
    assert [index for index, _ in caught.value.record_errors] == [0, 1]  # type: ignore[attr-defined]
    bounded = new_log(tmp_path / "b", message_timestamp_before_max_ms=1000, message_timestamp_after_max_ms=1000)
    assert refusal(bounded, batch(1, timestamp=NOW - 1001)) == ErrorCode.INVALID_TIMESTAMP
    assert refusal(bounded, batch(1, timestamp=NOW + 1001)) == ErrorCode.INVALID_TIMESTAMP
    bounded.append_as_leader(batch(1, timestamp=NOW - 1000), 0, NOW)
    bounded.append_as_leader(batch(1, timestamp=-1), 0, NOW)
    small = new_log(tmp_path / "c", segment_bytes=200)
    assert refusal(small, batch([b"x" * 200])) == ErrorCode.RECORD_LIST_TOO_LARGE


def test_a_bomb_does_not_inflate_inline(tmp_path: Path) -> None:
    from broker.wire.validation import NeedsWorker, Rules, needs_worker, validate

    log = new_log(tmp_path)
    bomb = batch([bytes(3 * 1024 * 1024)], codec=4)
    assert len(bomb) < 1000
    with pytest.raises(NeedsWorker):
        log.append_as_leader(bytearray(bomb), 0, NOW)
    assert log.log_end_offset == 0
    walked = validate(bytes(bomb), Rules(), NOW)
    log.append_as_leader(bomb, 0, NOW, walked=walked)
    assert log.log_end_offset == 1
    assert needs_worker(batch([bytes(3 * 1024 * 1024)], codec=2))
    assert not needs_worker(batch([bytes(300)], codec=2))
    assert not needs_worker(batch([bytes(3 * 1024 * 1024)]))


def test_reading_gives_whole_batches_up_to_the_upper_offset(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    append(log, 2, 3, 1)
    one = log.read(0, 1, 6).records
    assert [head.last_offset for _, head in batches.headers(one)] == [1]
    assert len(one) == batches.size_at(one)
    assert log.read(0, 1, 6, min_one=False).records == b""
    assert log.read(0, len(one) + 10, 6).records == one
    middle = log.read(3, 1 << 20, 5).records
    assert [(head.base_offset, head.last_offset) for _, head in batches.headers(middle)] == [(2, 4)]
    assert log.read(6, 100, 6).records == b""
    assert log.read(0, 100, 0).records == b""
    assert log.read(5, 0, 6).records
    for outside in (-1, 7):
        with pytest.raises(KafkaError) as caught:
            log.read(outside, 100, 6)
        assert caught.value.code == ErrorCode.OFFSET_OUT_OF_RANGE


def test_bytes_available_is_what_reading_would_give(tmp_path: Path) -> None:
    log = new_log(tmp_path, segment_bytes=2000, index_interval_bytes=200)
    append(log, *([1, 2, 3] * 30))
    ends = [0] + [last + 1 for _, last, _ in shape(log)]
    for low in ends[::7]:
        for high in ends[::5]:
            expected = sum(head.size for _, head in batches.headers(contents(log)) if low <= head.base_offset < high)
            assert log.bytes_available(low, high) == expected


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=60),
    interval=st.sampled_from([1, 150, 4096]),
    segment=st.sampled_from([700, 3000, 1 << 20]),
    value=st.sampled_from([1, 90]),
    clean=st.booleans(),
    step=st.sampled_from([1, 3]),
)
def test_lookups_agree_with_a_linear_scan(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    interval: int,
    segment: int,
    value: int,
    clean: bool,
    step: int,
) -> None:
    path = tmp_path_factory.mktemp("log")
    config = {"segment_bytes": segment, "index_interval_bytes": interval}
    log = new_log(path, **config)
    for number, size in enumerate(sizes):
        append(log, size, value=value, timestamp=NOW + number * 10)
    whole = contents(log)
    heads = [head for _, head in batches.headers(whole)]
    if clean:
        log.seal()
        log.close()
        log = reopen(path, clean=True, config=config)
        assert contents(log) == whole
    for offset in range(0, log.log_end_offset, step):
        found = batches.header(log.read(offset, 1, log.log_end_offset).records)
        assert found == next(head for head in heads if head.last_offset >= offset)
    records = list(read_all(whole))
    for timestamp in range(NOW - 1, NOW + len(sizes) * 10 + 6, 3):
        found_time = log.offset_for_timestamp(timestamp, log.log_end_offset)
        expected = next(((r.timestamp, r.offset) for r in records if r.timestamp >= timestamp), (-1, -1))
        assert found_time[:2] == expected
    largest = max(record.timestamp for record in records)
    assert log.max_timestamp()[:2] == next((r.timestamp, r.offset) for r in records if r.timestamp == largest)
    log.close()


def test_reading_on_with_small_reads_gives_everything_once(tmp_path: Path) -> None:
    log = new_log(tmp_path, segment_bytes=5000, index_interval_bytes=300)
    append(log, *([1, 4, 2] * 40))
    whole, offset, parts = contents(log), 0, []
    while offset < log.log_end_offset:
        parts.append(log.read(offset, 700, log.log_end_offset).records)
        offset = list(batches.headers(parts[-1]))[-1][1].next_offset
    assert b"".join(parts) == whole


def test_segments_roll_by_size_and_time(tmp_path: Path) -> None:
    log = new_log(tmp_path / "size", segment_bytes=400)
    append(log, *([2] * 10))
    assert len(log.segments) > 2
    assert all(segment.size <= 400 for segment in log.segments)
    assert (tmp_path / "size/t-0" / f"{log.segments[1].base:020d}.snapshot").exists()
    timed = new_log(tmp_path / "time", segment_ms=1000)
    append(timed, 1, 1)
    append(timed, 1, timestamp=NOW + 1001)
    assert [segment.base for segment in timed.segments] == [0, 2]
    full = new_log(tmp_path / "index", segment_index_bytes=16, index_interval_bytes=0)
    append(full, *([1] * 5))
    assert len(full.segments) > 1


def test_a_follower_appends_verbatim_and_indexes_each_batch(tmp_path: Path) -> None:
    leader = new_log(tmp_path / "leader", index_interval_bytes=100)
    append(leader, 2, 3, epoch=1)
    append(leader, *([1] * 30), epoch=4)
    follower = new_log(tmp_path / "follower", index_interval_bytes=100, segment_bytes=1500)
    data = contents(leader)
    info = follower.append_as_follower(data + data[:40])
    assert info is not None
    assert (info.first_offset, info.last_offset, info.records, info.size) == (0, 34, 35, len(data))
    assert contents(follower) == data
    assert follower.leader_epochs.entries() == [(1, 0), (4, 5)]
    assert follower.append_as_follower(b"") is None
    assert follower.append_as_follower(data[:30]) is None
    with pytest.raises(UnexpectedAppendOffset):
        follower.append_as_follower(data)
    damaged = bytearray(batch(1, base_offset=35))
    damaged[-1] ^= 1
    with pytest.raises(KafkaError) as caught:
        follower.append_as_follower(damaged)
    assert caught.value.code == ErrorCode.CORRUPT_MESSAGE
    assert follower.log_end_offset == 35


def test_a_follower_takes_gaps_that_compaction_left(tmp_path: Path) -> None:
    follower = new_log(tmp_path)
    follower.append_as_follower(batch(2, base_offset=10) + batch(1, base_offset=20))
    assert follower.log_end_offset == 21
    assert batches.header(follower.read(12, 1, 21).records).base_offset == 20
    assert batches.header(follower.read(0, 1, 21).records).base_offset == 10


def test_transaction_markers_from_a_leader_close_the_transaction(tmp_path: Path) -> None:
    follower = new_log(tmp_path)
    data = idempotent(0, 2, attributes=batches.TRANSACTIONAL)
    follower.append_as_follower(data)
    assert follower.producers.producers[7].txn_first_offset == 0
    follower.append_as_follower(control_batch(2, 7, 0, ControlRecord(True, 5), NOW))
    assert follower.producers.producers[7].txn_first_offset == -1
    assert follower.producers.producers[7].coordinator_epoch == 5
    follower.close()
    again = reopen(tmp_path)
    assert again.log_end_offset == 3
    assert again.producers.producers[7].coordinator_epoch == 5


def test_a_coordinator_appends_without_a_walk(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    info = log.append_as_leader(control_batch(0, 7, 0, ControlRecord(False, 1), NOW), 2, NOW, origin=Origin.COORDINATOR)
    assert info.last_offset == 0
    assert log.producers.producers[7].coordinator_epoch == 1


def test_truncation_rewinds_epochs_producers_and_indexes(tmp_path: Path) -> None:
    log = new_log(tmp_path, segment_bytes=900, index_interval_bytes=50)
    for sequence in range(10):
        log.append_as_leader(idempotent(sequence), 1, NOW + sequence)
    for sequence in range(10, 20):
        log.append_as_leader(idempotent(sequence, timestamp=NOW + 100), 2, NOW)
    log.high_watermark = 18
    before = contents(log)
    assert log.truncate_to(12)
    assert (log.log_end_offset, log.high_watermark) == (12, 12)
    assert contents(log) == before[: len(contents(log))]
    assert log.leader_epochs.entries() == [(1, 0), (2, 10)]
    assert log.producers.producers[7].last_sequence == 11
    assert not log.truncate_to(12)
    assert log.truncate_to(10)
    assert log.leader_epochs.entries() == [(1, 0)]
    assert log.offset_for_timestamp(NOW + 100, 10).offset == -1
    log.append_as_leader(idempotent(10), 3, NOW)
    assert log.leader_epochs.entries() == [(1, 0), (3, 10)]
    assert log.truncate_to(2)
    assert log.producers.producers[7].last_sequence == 1
    assert [segment.base for segment in log.segments] == [0]
    whole = contents(log)
    log.close()
    again = reopen(tmp_path, config={"segment_bytes": 900})
    assert contents(again) == whole
    assert again.producers.producers[7].last_sequence == 1


@pytest.mark.parametrize("clean", [True, False])
def test_a_truncation_into_a_batch_leaves_no_gap(tmp_path: Path, clean: bool) -> None:
    log = new_log(tmp_path)
    append(log, 5, 5, 5, epoch=1)
    log.high_watermark = 12
    assert log.truncate_to(12)
    assert (log.log_end_offset, log.high_watermark, log.may_lack_committed) == (10, 10, True)
    log.roll(NOW)
    append(log, 3, epoch=2)
    log.seal()
    log.close()
    again = reopen(tmp_path, clean=clean, recovery_point=13, high_watermark=13)
    assert shape(again) == [(0, 4, 1), (5, 9, 1), (10, 12, 2)]
    assert not any(segment.holes for segment in again.segments)


def test_a_truncation_to_a_log_start_within_a_batch_ends_there(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    append(log, 5, 5, epoch=1)
    log.high_watermark = 10
    log.increment_log_start_offset(7)
    assert log.truncate_to(7)
    assert (log.log_start_offset, log.log_end_offset) == (7, 7)


def test_truncation_replays_producers_where_the_window_does_not_tell(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    for sequence in range(10):
        log.append_as_leader(idempotent(sequence), 1, NOW)
    log.append_as_leader(idempotent(0, producer_id=9), 1, NOW)
    log.truncate_to(3)
    assert log.producers.producers[7].last_sequence == 2
    assert 9 not in log.producers.producers


def test_truncating_fully_starts_anew(tmp_path: Path) -> None:
    log = new_log(tmp_path, segment_bytes=500)
    append(log, *([2] * 10), epoch=1)
    log.truncate_fully_and_start_at(100)
    assert (log.log_start_offset, log.log_end_offset, log.high_watermark) == (100, 100, 100)
    assert log.leader_epochs.latest == -1
    append(log, 1, epoch=2)
    assert shape(log) == [(100, 100, 2)]
    log.close()
    assert sorted(name.name for name in (tmp_path / "t-0").iterdir() if name.suffix == ".log") == [f"{100:020d}.log"]
    assert reopen(tmp_path).log_end_offset == 101


def test_the_log_start_moves_forward_only_up_to_the_high_watermark(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    append(log, 1, 1, 1, 1, epoch=1)
    log.high_watermark = 3
    assert log.increment_log_start_offset(2)
    assert not log.increment_log_start_offset(1)
    assert log.leader_epochs.entries() == [(1, 2)]
    with pytest.raises(KafkaError):
        log.increment_log_start_offset(4)
    with pytest.raises(KafkaError):
        log.read(1, 100, 4)


def test_retention_by_time_size_and_log_start(tmp_path: Path) -> None:
    def full(name: str, **config: Any) -> Log:
        log = new_log(tmp_path / name, segment_bytes=100, **config)
        for number in range(5):
            append(log, 1, timestamp=NOW + number * 1000)
        assert len(log.segments) == 5
        log.high_watermark = 5
        return log

    timed = full("time", retention_ms=2500)
    assert timed.delete_old_segments(NOW + 4000) == 2
    assert timed.log_start_offset == 2
    assert timed.delete_old_segments(NOW + 60_000) == 3
    assert (timed.log_start_offset, timed.log_end_offset, len(timed.segments)) == (5, 5, 1)
    append(timed, 1)
    assert shape(timed) == [(5, 5, 0)]
    sized = full("size", retention_bytes=250, retention_ms=-1)
    per_segment = sized.segments[0].size
    assert sized.delete_old_segments(NOW) == (5 * per_segment - 250) // per_segment
    held = full("held", retention_ms=0)
    held.high_watermark = 2
    assert held.delete_old_segments(NOW + 60_000) == 2
    started = full("start", cleanup_policy=("compact",), retention_ms=0)
    started.increment_log_start_offset(3)
    assert started.delete_old_segments(NOW + 60_000) == 3
    assert started.log_start_offset == 3


def test_retries_of_the_last_five_batches_are_answered_with_the_original(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    for sequence in (0, 2, 4, 6, 8, 10):
        log.append_as_leader(idempotent(sequence, 2), 0, NOW)
    for sequence in (2, 4, 6, 8, 10):
        info = log.append_as_leader(idempotent(sequence, 2), 0, NOW)
        assert (info.duplicate, info.first_offset, info.last_offset, info.size) == (True, sequence, sequence + 1, 0)
    assert log.log_end_offset == 12
    assert refusal(log, idempotent(0, 2)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert refusal(log, idempotent(13, 2)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert refusal(log, idempotent(10, 1)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert refusal(log, idempotent(1, epoch=1)) == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    log.append_as_leader(idempotent(0, epoch=1), 0, NOW)
    assert refusal(log, idempotent(12, epoch=0)) == ErrorCode.INVALID_PRODUCER_EPOCH
    log.append_as_leader(idempotent(55, producer_id=8), 0, NOW)


def test_sequences_wrap(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.append_as_leader(idempotent(0x7FFFFFFE, 3), 0, NOW)
    assert log.producers.producers[7].last_sequence == 0
    assert log.append_as_leader(idempotent(0x7FFFFFFE, 3), 0, NOW).duplicate
    assert not log.append_as_leader(idempotent(1), 0, NOW).duplicate


@pytest.mark.parametrize("how", ["enospc", "short"])
def test_a_full_disk_acknowledges_nothing_and_leaves_no_torn_tail(tmp_path: Path, how: str) -> None:
    for fail_at in range(6, 60):
        path = tmp_path / str(fail_at)
        disk = FailingFiles(fail_at, how)
        config = {"segment_bytes": 700, "index_interval_bytes": 100}
        log = new_log(path, disk, **config)
        acknowledged = 0
        with pytest.raises(LogDirFailed):
            for number in range(100):
                log.append_as_leader(idempotent(number), number // 10, NOW)
                acknowledged += 1
        assert log.log_end_offset == acknowledged
        with pytest.raises(LogDirFailed):
            append(log, 1)
        log.close()
        again = reopen(path, config=config)
        assert again.log_end_offset == acknowledged
        assert [base for base, _, _ in shape(again)] == list(range(acknowledged))
        again.close()


async def test_flush_moves_the_recovery_point(tmp_path: Path) -> None:
    log = new_log(tmp_path, segment_bytes=300, index_interval_bytes=10)
    append(log, *([1] * 10))
    assert log.recovery_point == 0
    task = asyncio.ensure_future(log.flush())
    await asyncio.sleep(0)
    append(log, 1)
    log.close()
    await task
    assert log.recovery_point == 10
    await log.flush()
    assert log.recovery_point == 11
    log.close()
