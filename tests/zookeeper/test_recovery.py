"""Data directories: what a crash leaves is read back, what is damaged is refused by name and place."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.host.files import RealFiles
from broker.zookeeper import snapshot
from broker.zookeeper.journal import HEADER, pack_record
from broker.zookeeper.messages import OPEN_ACL, Acl, CreateRequest, CreateTtlRequest, OpCode, SetDataRequest
from broker.zookeeper.processor import Outcome, Processor
from broker.zookeeper.recovery import DataDamaged, Recovered, recover, repair
from broker.zookeeper.tree import Tree

ME = 0x0100000000000001


class Directory:
    """A data directory and the server that would have written it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = Tree()
        self.processor = Processor(self.tree, extended_types=True)
        self.records: list[bytes] = []
        self.first = 1
        self.log(self.processor.create_session(ME, 6000, 1000))

    def log(self, outcome: Outcome) -> None:
        self.records.append(pack_record(outcome.header.encode() + outcome.txn.encode()))

    def create(self, path: str, data: bytes = b"data", flags: int = 0) -> None:
        self.log(self.processor.write(OpCode.CREATE, CreateRequest(path, data, OPEN_ACL, flags), ME, 1, 1000, ()))

    def set(self, path: str, data: bytes) -> None:
        self.log(self.processor.write(OpCode.SET_DATA, SetDataRequest(path, data, -1), ME, 1, 1000, ()))

    def write_log(self, *, padding: int = 0) -> Path:
        """The records since the last call, as one file."""
        path = self.path / f"log.{self.first:x}"
        path.write_bytes(HEADER + b"".join(self.records) + bytes(padding))
        self.records, self.first = [], self.tree.last_zxid + 1
        return path

    def write_snapshot(self) -> Path:
        path = self.path / f"snapshot.{self.tree.last_zxid:x}"
        path.write_bytes(b"".join(snapshot.write_slices(self.tree)))
        return path

    def recover(self) -> Recovered:
        return recover(RealFiles(), str(self.path), str(self.path))


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    made = Directory(tmp_path)
    (tmp_path / "snapshot.0").write_bytes(b"".join(snapshot.write_slices(Tree())))
    for index in range(5):
        made.create(f"/n{index}")
    made.create("/e", flags=1)
    made.set("/n1", b"changed")
    return made


def content(tree: Tree) -> dict[str, object]:
    return {path: (node.data, node.acl, node.stat(), node.owner) for path, node in tree.nodes.items()}


def test_an_empty_directory_is_a_fresh_server(tmp_path: Path) -> None:
    found = recover(RealFiles(), str(tmp_path), str(tmp_path))
    assert found.fresh
    assert found.tree.last_zxid == 0
    assert sorted(found.tree.nodes) == ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"]


@pytest.mark.parametrize("padding", [0, 5, 100_000])
def test_the_log_is_replayed(directory: Directory, padding: int) -> None:
    directory.write_log(padding=padding)
    found = directory.recover()
    assert content(found.tree) == content(directory.tree)
    assert found.tree.sessions == {ME: 6000}
    assert found.tree.ephemerals_of(ME) == ("/e",)
    assert (found.tree.last_zxid, found.logged, found.max_session_id, found.notes) == (8, 8, ME, [])


def test_a_snapshot_holds_everything(directory: Directory) -> None:
    directory.log(
        directory.processor.write(
            OpCode.CREATE_TTL,
            CreateTtlRequest("/ttl", None, (Acl(1, "world", "anyone"), Acl(31, "digest", "a:b")), 5, 99),
            ME,
            1,
            1000,
            (),
        )
    )
    directory.write_log()
    directory.write_snapshot()
    directory.create("/later")
    directory.write_log()
    found = directory.recover()
    assert content(found.tree) == content(directory.tree)
    assert found.logged == 1
    assert list(found.tree.ttls) == ["/ttl"]


def test_a_snapshot_that_was_overtaken_by_writes_is_made_whole_by_the_log(directory: Directory) -> None:
    directory.write_log()
    name = directory.path / f"snapshot.{directory.tree.last_zxid:x}"
    slices = snapshot.write_slices(directory.tree)
    written = next(slices)
    directory.create("/n1/child")
    directory.set("/n2", b"newer")
    directory.create("/n9")
    directory.log(directory.processor.close_session(ME, 0, 2000))
    directory.write_log()
    name.write_bytes(written + b"".join(slices))
    assert content(directory.recover().tree) == content(directory.tree)


@pytest.mark.parametrize("cut", [1, 7, 20])
def test_a_torn_last_record_is_dropped_and_said(directory: Directory, cut: int) -> None:
    path = directory.write_log()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    found = directory.recover()
    assert found.tree.last_zxid == 7
    assert found.tree.nodes["/n1"].data == b"data"
    assert "dropped" in found.notes[0]
    assert str(path) in found.notes[0]
    assert whole.startswith(path.read_bytes()), "cut, so that ZooKeeper starts on it too"
    assert directory.recover().notes == []


@pytest.mark.parametrize("tail", [b"\0" * 7, b"random bytes behind the end", b"\0\0\0\0\x12\x34\x56\x78\0\0\1\0torn"])
def test_a_tail_of_other_bytes_is_dropped(directory: Directory, tail: bytes) -> None:
    path = directory.write_log()
    path.write_bytes(path.read_bytes() + tail)
    assert directory.recover().tree.last_zxid == 8


def test_a_log_that_was_only_begun_is_no_damage(directory: Directory) -> None:
    directory.write_log()
    (directory.path / "log.9").write_bytes(b"")
    assert directory.recover().tree.last_zxid == 8


def test_a_log_whose_only_record_is_torn_is_removed_since_the_next_one_has_its_name(directory: Directory) -> None:
    directory.write_log()
    (directory.path / "log.9").write_bytes(HEADER + b"\0\0\0\0torn")
    assert directory.recover().tree.last_zxid == 8
    assert not (directory.path / "log.9").exists()


def test_a_compressed_snapshot_is_refused(directory: Directory) -> None:
    (directory.path / "snapshot.8.snappy").write_bytes(b"")
    with pytest.raises(DataDamaged, match="compressed"):
        directory.recover()


def test_a_torn_record_before_a_log_that_goes_on_right_there_is_no_damage(directory: Directory) -> None:
    path = directory.write_log()
    path.write_bytes(path.read_bytes() + b"\0\0\0\0torn")
    directory.create("/after")
    directory.write_log()
    assert content(directory.recover().tree) == content(directory.tree)


def test_damage_before_a_valid_record_is_refused_with_file_and_offset(directory: Directory) -> None:
    offset = len(HEADER) + sum(len(record) for record in directory.records[:3])
    path = directory.write_log()
    data = bytearray(path.read_bytes())
    data[offset + 20] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataDamaged) as damage:
        directory.recover()
    assert f"{path}: damaged at offset {offset}" in str(damage.value)
    assert "--repair" in str(damage.value)
    assert path.read_bytes() == data, "nothing is touched"


def test_repair_keeps_what_is_before_the_damage_and_sets_the_rest_aside(directory: Directory) -> None:
    offset = len(HEADER) + sum(len(record) for record in directory.records[:3])
    path = directory.write_log()
    directory.create("/after")
    later = directory.write_log()
    data = bytearray(path.read_bytes())
    data[offset + 20] ^= 1
    path.write_bytes(data)
    lines = repair(RealFiles(), str(directory.path))
    assert len(lines) == 2
    assert directory.recover().tree.last_zxid == 3
    assert path.with_name(path.name + ".damaged").read_bytes() == data
    assert not later.exists()


def test_a_damaged_header_is_refused(directory: Directory) -> None:
    path = directory.write_log()
    path.write_bytes(b"X" + path.read_bytes()[1:])
    with pytest.raises(DataDamaged, match="does not begin as a ZooKeeper log"):
        directory.recover()


def test_a_missing_older_log_is_refused(directory: Directory) -> None:
    first = directory.write_log()
    directory.create("/after")
    directory.write_log()
    first.unlink()
    with pytest.raises(DataDamaged, match="missing"):
        directory.recover()


def test_a_damaged_snapshot_falls_back_to_the_one_before(directory: Directory) -> None:
    directory.write_log()
    newest = directory.write_snapshot()
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    found = directory.recover()
    assert content(found.tree) == content(directory.tree)
    assert str(newest) in found.notes[0]


def test_a_damaged_snapshot_without_the_logs_before_it_is_refused(directory: Directory) -> None:
    directory.write_log().unlink()
    newest = directory.write_snapshot()
    newest.write_bytes(newest.read_bytes()[:-9])
    with pytest.raises(DataDamaged):
        directory.recover()


def test_a_snapshot_cut_anywhere_is_never_loaded(directory: Directory) -> None:
    data = b"".join(snapshot.write_slices(directory.tree))
    for size in range(0, len(data), 7):
        with pytest.raises(snapshot.SnapshotDamaged):
            snapshot.load(data[:size])
