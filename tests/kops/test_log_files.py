"""Files of logs read offline: what is in them, and every way in which they can be damaged."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.coordinator import group_records
from broker.wire.records import Record, build_batch
from kops.local.log_files import Entry, Flaw, dump, verify
from tests.kops.conftest import Said


def record(offset: int, key: bytes | None = b"k", value: bytes | None = b"v") -> Record:
    return Record(offset, 1000 + offset, key, value)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two batches of two records, and indexes to them, as a broker leaves them."""
    folder = tmp_path / "t-0"
    folder.mkdir()
    batches = [bytes(build_batch([record(at), record(at + 1)])) for at in (0, 2)]
    path = folder / "00000000000000000000.log"
    path.write_bytes(b"".join(batches))
    (folder / "00000000000000000000.index").write_bytes(struct.pack(">ii", 3, len(batches[0])) + bytes(16))
    (folder / "00000000000000000000.timeindex").write_bytes(struct.pack(">qi", 1003, 3))
    (folder / "leader-epoch-checkpoint").write_text("0\n1\n4 0\n")
    return path


def flaws(path: Path) -> list[str]:
    return [flaw.what for flaw in verify(str(path))]


def changed(path: Path, at: int, new: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + len(new)] = new
    path.write_bytes(data)


def test_batches_and_records_are_told(log: Path) -> None:
    found = [one for one in dump(str(log)) if isinstance(one, Entry)]
    assert [one.kind for one in found] == ["batch", "record", "record", "batch", "record", "record"]
    assert found[0].fields["lastOffset"] == 1
    assert found[1].fields == {"offset": 0, "timestamp": 1000, "key": "k", "value": "v"}


def test_whole_files_have_no_flaws(log: Path) -> None:
    assert [flaws(path) for path in sorted(log.parent.iterdir())] == [[], [], [], []]


def test_a_flipped_bit_is_a_crc_that_does_not_match(log: Path) -> None:
    changed(log, 70, b"\xff")
    assert flaws(log) == ["offset 0: the CRC does not match"]


def test_a_torn_end_is_told(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-5])
    assert len(flaws(log)) == 1
    assert "bytes that are no batch" in flaws(log)[0]


def test_offsets_that_go_back_are_told(log: Path) -> None:
    log.write_bytes(log.read_bytes() + bytes(build_batch([record(1)])))
    assert flaws(log) == ["offset 1 comes after 3"]


def test_an_index_that_points_elsewhere_is_told(log: Path) -> None:
    index = log.with_suffix(".index")
    changed(index, 4, struct.pack(">i", 7))
    assert flaws(index) == ["offset 3 is not the end of a batch at 7"]
    times = log.with_suffix(".timeindex")
    changed(times, 0, struct.pack(">q", 9))
    assert flaws(times) == ["time 9 is not that of the batch with offset 3"]
    log.unlink()
    assert flaws(index) == ["it has no log"]


def test_damaged_checkpoints_and_snapshots_are_told(log: Path) -> None:
    epochs = log.parent / "leader-epoch-checkpoint"
    epochs.write_text("0\n2\n4 0\n")
    assert len(flaws(epochs)) == 1
    snapshot = log.with_suffix(".snapshot")
    snapshot.write_bytes(struct.pack(">hIi", 1, 5, 0))
    assert len(flaws(snapshot)) == 1


def test_records_of_groups_are_decoded(tmp_path: Path) -> None:
    folder = tmp_path / "__consumer_offsets-7"
    folder.mkdir()
    key = group_records.offset_key("readers", "t", 2)
    value = group_records.offset_value(
        group_records.OffsetCommitValue(offset=41, leader_epoch=3, metadata="m", commit_timestamp=5)
    )
    path = folder / "00000000000000000000.log"
    path.write_bytes(bytes(build_batch([record(0, key, value), record(1, key, None)])))
    told = [one.fields for one in dump(str(path)) if isinstance(one, Entry) and one.kind == "record"]
    assert told[0] | {"group": "readers", "topic": "t", "partition": 2, "committed": 41} == told[0]
    assert told[1]["tombstone"] is True


def test_states_of_transactions_are_decoded(tmp_path: Path) -> None:
    folder = tmp_path / "__transaction_state-7"
    folder.mkdir()
    key = struct.pack(">hh5s", 0, 5, b"pay-1")
    state = struct.pack(">hqhibi", 0, 4000, 2, 60_000, 1, 1) + struct.pack(">h1sii", 1, b"t", 1, 2)
    state += struct.pack(">qq", 1_700_000_000_000, -1)
    empty = struct.pack(">hqhibiqq", 0, 4000, 2, 60_000, 0, -1, 5, -1)
    path = folder / "00000000000000000000.log"
    batch = [record(0, key, state), record(1, key, empty), record(2, key, None), record(3, b"\0\7", b"?")]
    path.write_bytes(bytes(build_batch(batch)))
    told = [one.fields for one in dump(str(path)) if isinstance(one, Entry) and one.kind == "record"]
    ongoing = {"transactionalId": "pay-1", "producerId": 4000, "producerEpoch": 2, "state": "Ongoing"}
    assert told[0] | ongoing | {"partitions": ["t-2"], "timeoutMs": 60_000} == told[0]
    assert (told[1]["state"], told[1]["partitions"]) == ("Empty", [])
    assert told[2]["tombstone"] is True
    assert told[3]["value"] == "?"


def test_a_flaw_is_what_it_says_whatever_the_bytes(log: Path) -> None:
    whole = log.read_bytes()
    for at in range(len(whole)):
        changed(log, at, bytes([whole[at] ^ 0x55]))
        assert all(isinstance(found, Entry | Flaw) for found in dump(str(log)))
        log.write_bytes(whole)


def test_verify_ends_with_10_and_dump_reads_on(kops: Callable[..., Said], log: Path) -> None:
    assert kops("log", "verify", str(log.parent)).code == 0
    changed(log, 70, b"\xff")
    said = kops("log", "verify", str(log.parent), "-o", "json")
    assert said.code == 10
    assert kops("log", "dump", str(log)).out.count("record") == 2
    assert kops("log", "dump", "nowhere").code == 3
