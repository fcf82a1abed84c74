"""Reading a data directory back: newest snapshot, then the logs from there on (FileTxnSnapLog.restore).

A last record that is torn is what a crash leaves: it is cut off, and it is said. Damage with a valid record behind it
is no crash: starting would lose acknowledged writes, so it is refused, with file and offset; ``--repair`` cuts there
and sets the rest aside.
"""

from __future__ import annotations

import os
import zlib
from struct import Struct
from typing import NamedTuple

from broker.host import Files
from broker.zookeeper import snapshot
from broker.zookeeper.journal import HEADER
from broker.zookeeper.jute import JuteError
from broker.zookeeper.tree import Tree
from broker.zookeeper.txns import decode_txn

_RECORD = Struct(">qi")
_MAGIC = HEADER[:8]
_MAX_RECORD = 1 << 30


class DataDamaged(Exception):
    """The data directory cannot be used as it is; the text names file and offset and says what to do."""


class Recovered(NamedTuple):
    """What was found. ``logged``: how many transactions were replayed; ``notes``: lines for the log."""

    tree: Tree
    fresh: bool
    logged: int
    max_session_id: int
    notes: list[str]


class Tail(NamedTuple):
    """Where the valid records of a log end, and whether bytes other than zeros follow."""

    end: int
    torn: int


def numbered(files: Files, directory: str, prefix: str) -> list[tuple[int, str]]:
    """(zxid, file name) of ``prefix.<hex>`` in ``directory``, oldest first."""
    if files.stat(directory) is None:
        return []
    found: list[tuple[int, str]] = []
    for name in files.listdir(directory):
        kind, _, number = name.partition(".")
        if kind == prefix:
            try:
                found.append((int(number, 16), name))
            except ValueError:
                continue
    return sorted(found)


def recover(files: Files, snap_dir: str, log_dir: str) -> Recovered:
    """Load what is there and cut off a torn last record. Raises DataDamaged; OSError as the disk does."""
    notes: list[str] = []
    snapshots, logs = numbered(files, snap_dir, "snapshot"), numbered(files, log_dir, "log")
    _refuse_compressed(files, snap_dir)
    tree = _newest_snapshot(files, snap_dir, snapshots, logs, notes)
    if tree is None:
        if logs and snapshots:
            raise DataDamaged(f"{snap_dir}: no snapshot can be read, and the logs alone do not hold everything")
        tree = Tree()
        if logs and logs[0][0] > 1:
            raise DataDamaged(
                f"{log_dir}: the logs begin at zxid 0x{logs[0][0]:x}, and the snapshot before it is missing"
            )
    logged, highest = 0, max((abs(owner) for owner in (*tree.sessions, *tree.ephemerals)), default=0)
    begin = max((zxid for zxid, _ in logs if zxid <= tree.last_zxid), default=0)
    needed = [(zxid, name) for zxid, name in logs if zxid >= begin]
    for index, (first, name) in enumerate(needed):
        if first > tree.last_zxid + 1:
            raise DataDamaged(
                f"{os.path.join(log_dir, name)}: begins at zxid 0x{first:x}, but what is before it ends at"
                f" 0x{tree.last_zxid:x}: a log or a snapshot is missing; restore it from a backup"
            )
        replay = _Replay(files, os.path.join(log_dir, name), tree, notes)
        replay.run(needed[index + 1][0] if index + 1 < len(needed) else None)
        logged += replay.count
        highest = max(highest, replay.highest_session)
    return Recovered(tree, not snapshots and not logs, logged, highest, notes)


def _refuse_compressed(files: Files, snap_dir: str) -> None:
    for name in files.listdir(snap_dir):
        if name.startswith("snapshot.") and name.endswith((".gz", ".snappy")):
            raise DataDamaged(
                f"{os.path.join(snap_dir, name)}: compressed snapshots are not read here; start ZooKeeper once on this"
                " directory without snapshot.compression.method, then remove this file"
            )


def _newest_snapshot(
    files: Files, snap_dir: str, snapshots: list[tuple[int, str]], logs: list[tuple[int, str]], notes: list[str]
) -> Tree | None:
    for zxid, name in reversed(snapshots):
        path = os.path.join(snap_dir, name)
        try:
            tree = snapshot.load(files.read(path))
        except snapshot.SnapshotDamaged as damage:
            notes.append(f"{path}: {damage}; using the one before it")
            continue
        covered = zxid == snapshots[-1][0] or any(first <= zxid + 1 for first, _ in logs)
        if not covered:
            raise DataDamaged(f"{path}: the newer snapshot is damaged, and the logs since this one are missing")
        tree.last_zxid = zxid
        return tree
    return None


def scan(data: bytes, at: int) -> tuple[list[tuple[int, bytes]], Tail]:
    """Valid records from ``at`` on, as (offset, transaction), and where they end."""
    records: list[tuple[int, bytes]] = []
    while (payload := _record(data, at)) is not None:
        records.append((at, payload))
        at += 13 + len(payload)
    return records, Tail(at, len(data.rstrip(b"\0")) - at if any(data[at:]) else 0)


def _record(data: bytes, at: int) -> bytes | None:
    if at + 13 > len(data):
        return None
    checksum, length = _RECORD.unpack_from(data, at)
    end = at + 12 + length
    if not 0 < length <= _MAX_RECORD or end >= len(data) or data[end] != 0x42:
        return None
    payload = data[at + 12 : end]
    return payload if zlib.adler32(payload) == checksum else None


def find_record(data: bytes, at: int) -> int | None:
    """The offset of the first valid record at or behind ``at``."""
    limit = len(data.rstrip(b"\0"))
    at = data.find(b"\0\0\0\0", at, limit)
    while at >= 0:
        payload = _record(data, at)
        if payload is not None and _is_txn(payload):
            return at
        at = data.find(b"\0\0\0\0", at + 1, limit)
    return None


def _is_txn(payload: bytes) -> bool:
    try:
        decode_txn(payload)
    except JuteError:
        return False
    return True


class _Replay:
    """One log file, applied to the tree."""

    def __init__(self, files: Files, path: str, tree: Tree, notes: list[str]) -> None:
        self._files = files
        self._path = path
        self._tree = tree
        self._notes = notes
        self.count = 0
        self.highest_session = 0

    def run(self, next_file: int | None) -> None:
        """``next_file``: the first zxid of the next log, None for the newest."""
        data = self._files.read(self._path)
        is_last = next_file is None
        if data[:8] != _MAGIC:
            if is_last and not any(data[:16]) and find_record(data, 0) is None:
                self._notes.append(f"{self._path}: empty, set aside by a crash at its creation; removed")
                self._files.unlink(self._path)
                return
            raise DataDamaged(
                f"{self._path}: does not begin as a ZooKeeper log. Move it away if it is not one of ZooKeeper's,"
                " else restore it from a backup"
            )
        records, tail = scan(data, len(HEADER))
        for offset, payload in records:
            self._apply(offset, payload)
        if tail.torn:
            self._cut(data, tail, is_last=is_last or next_file == self._tree.last_zxid + 1)
        if is_last and not records:
            self._files.unlink(self._path)  # the next write begins a file of the same name
        elif is_last and tail.end < len(data):
            self._truncate(tail.end)

    def _apply(self, offset: int, payload: bytes) -> None:
        try:
            header, txn = decode_txn(payload)
        except JuteError as cause:
            raise DataDamaged(f"{self._path}: transaction at offset {offset} cannot be read: {cause}") from cause
        self.highest_session = max(self.highest_session, header.session_id)
        if header.zxid > self._tree.last_zxid:
            self._tree.apply(header, txn)
            self.count += 1

    def _cut(self, data: bytes, tail: Tail, *, is_last: bool) -> None:
        later = find_record(data, tail.end + 1)
        if later is not None or not is_last:
            where = f"a valid record follows at offset {later}" if later is not None else "later logs follow"
            raise DataDamaged(
                f"{self._path}: damaged at offset {tail.end}, and {where}. Restore the file from a backup, or start"
                " once with --repair, which keeps what is before the damage and sets the rest aside"
            )
        self._truncate(tail.end)
        self._notes.append(f"{self._path}: dropped {tail.torn} bytes of a torn last record at offset {tail.end}")

    def _truncate(self, size: int) -> None:
        file = self._files.open(self._path)
        try:
            file.truncate(size)
        finally:
            file.close()


def repair(files: Files, log_dir: str) -> list[str]:
    """Keep each log up to its first damage and set everything after it aside as ``*.damaged``; says what it did."""
    done: list[str] = []
    damaged = False
    for _, name in numbered(files, log_dir, "log"):
        path = os.path.join(log_dir, name)
        if damaged:
            files.rename(path, path + ".damaged")
            done.append(f"{path}: set aside as {name}.damaged, since an earlier log is cut")
            continue
        data = files.read(path)
        _, tail = scan(data, len(HEADER)) if data[:8] == _MAGIC else ([], Tail(0, len(data)))
        if not tail.torn:
            continue
        damaged = True
        files.rename(path, path + ".damaged")
        if tail.end:
            kept = files.open(path, create=True)
            kept.append(data[: tail.end])
            kept.close()
        done.append(f"{path}: kept {tail.end} bytes, {tail.torn} bytes from there on are only in {name}.damaged")
    return done
