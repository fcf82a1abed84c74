"""Operations as ZooKeeper's frames, replies as results (org.apache.zookeeper.proto); adds and removes the chroot.

Pure. A body is what follows the request header; a frame is length, xid, opcode, body.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from broker.zk.operations import (
    Acl,
    Check,
    Create,
    Delete,
    Exists,
    GetChildren,
    GetData,
    Multi,
    Operation,
    Result,
    SetData,
    Stat,
    Sync,
    WatchKind,
    Write,
    ZkCode,
)
from broker.zk.znodes import acl_for
from broker.zookeeper.jute import (
    FALSE,
    Reader,
    pack_boolean,
    pack_buffer,
    pack_int,
    pack_long,
    pack_string,
    pack_strings,
    pack_vector,
)

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, SYNC = 1, 2, 3, 4, 5, 9
PING, GET_CHILDREN2, CHECK, MULTI, CREATE2, SET_WATCHES, CLOSE = 11, 12, 13, 14, 15, 101, -11
WATCH_XID, PING_XID, AUTH_XID, SET_WATCHES_XID = -1, -2, -4, -8
ERROR = -1

NO_PASSWORD = bytes(16)

_STAT = Struct(">qqqqiiiqiiq")
_HEADER = Struct(">iii")
_REPLY = Struct(">iqi")
_MULTI_HEADER = Struct(">i?i")
_MULTI_END = _MULTI_HEADER.pack(-1, True, -1)


class Frames:
    """Encodes and decodes for one chroot ("" or "/kafka") and one ACL rule (zookeeper.set.acl)."""

    def __init__(self, chroot: str, secure: bool) -> None:
        self._chroot = chroot
        self._secure = secure

    def full(self, path: str) -> str:
        """The path as the server knows it."""
        if not self._chroot:
            return path
        return self._chroot if path == "/" else self._chroot + path

    def own(self, path: str) -> str:
        """The path as the broker knows it."""
        return path[len(self._chroot) :] or "/" if self._chroot else path

    def encode(self, op: Operation) -> tuple[int, bytes]:
        """Opcode and body."""
        path = b"" if isinstance(op, Multi) else pack_string(self.full(op.path))
        match op:
            case GetData():
                return GET_DATA, path + pack_boolean(op.watch)
            case Exists():
                return EXISTS, path + pack_boolean(op.watch)
            case GetChildren():
                return GET_CHILDREN2, path + pack_boolean(op.watch)
            case Sync():
                return SYNC, path
            case Multi():
                return MULTI, self._multi(op.ops)
            case _:
                return self._write(op)

    def _write(self, op: Write) -> tuple[int, bytes]:
        path = pack_string(self.full(op.path))
        match op:
            case Create():
                acl = op.acl if op.acl is not None else acl_for(op.path, self._secure)
                return CREATE, path + pack_buffer(op.data) + _pack_acl(acl) + pack_int(op.mode)
            case Delete():
                return DELETE, path + pack_int(op.version)
            case SetData():
                return SET_DATA, path + pack_buffer(op.data) + pack_int(op.version)
            case Check():
                return CHECK, path + pack_int(op.version)

    def _multi(self, ops: Sequence[Write]) -> bytes:
        parts: list[bytes] = []
        for op in ops:
            opcode, body = self._write(op)
            parts += (_MULTI_HEADER.pack(opcode, False, -1), body)
        return b"".join((*parts, _MULTI_END))

    def decode(self, op: Operation, error: int, reader: Reader) -> Result:
        """The result of ``op``; ``reader`` stands behind the reply header. Raises JuteError."""
        asked = "" if isinstance(op, Multi) else op.path
        if error:
            return Result(ZkCode.of(error), asked)
        match op:
            case GetData():
                return Result(ZkCode.OK, asked, reader.buffer(), _read_stat(reader))
            case Exists() | SetData():
                return Result(ZkCode.OK, asked, stat=_read_stat(reader))
            case GetChildren():
                names = reader.vector(reader.text) or []
                return Result(ZkCode.OK, asked, children=tuple(sorted(names)), stat=_read_stat(reader))
            case Create():
                return Result(ZkCode.OK, self.own(reader.text()))
            case Multi():
                return self._read_multi(op, reader)
            case _:
                return Result(ZkCode.OK, asked)

    def _read_multi(self, multi: Multi, reader: Reader) -> Result:
        results: list[Result] = []
        for op in multi.ops:
            kind, done, _ = reader.int32(), reader.boolean(), reader.int32()
            if done:
                break
            if kind == ERROR:
                results.append(Result(ZkCode.of(reader.int32()), op.path))
            elif kind in (CREATE, CREATE2):
                path = self.own(reader.text())
                results.append(Result(ZkCode.OK, path, stat=_read_stat(reader) if kind == CREATE2 else None))
            else:
                results.append(Result(ZkCode.OK, op.path, stat=_read_stat(reader) if kind == SET_DATA else None))
        outcome = Result(ZkCode.OK, results=tuple(results))
        failed = outcome.failed
        return outcome if failed < 0 else outcome._replace(code=results[failed].code, path=results[failed].path)


def frame(xid: int, opcode: int, body: bytes = b"") -> bytes:
    return _HEADER.pack(len(body) + 8, xid, opcode) + body


def set_watches(zxid: int, data: Sequence[str], exist: Sequence[str], child: Sequence[str]) -> bytes:
    """The frame that registers watches again; the server answers with events for whatever changed after ``zxid``."""
    body = pack_long(zxid) + pack_strings(data) + pack_strings(exist) + pack_strings(child)
    return frame(SET_WATCHES_XID, SET_WATCHES, body)


def connect_request(last_zxid: int, timeout_ms: int, session_id: int, password: bytes) -> bytes:
    """The first frame of a connection; ``session_id`` 0 asks for a new session."""
    body = (
        pack_int(0)
        + pack_long(last_zxid)
        + pack_int(timeout_ms)
        + pack_long(session_id)
        + pack_buffer(password)
        + FALSE
    )
    return pack_int(len(body)) + body


class ConnectReply(NamedTuple):
    """``timeout_ms`` 0: the session is refused, that is, over."""

    timeout_ms: int
    session_id: int
    password: bytes


def read_connect_reply(payload: bytes) -> ConnectReply:
    """Raises JuteError."""
    reader = Reader(payload)
    reader.int32()
    return ConnectReply(reader.int32(), reader.int64(), reader.buffer() or b"")


def read_reply_header(payload: bytes) -> tuple[int, int, int, Reader]:
    """xid, zxid, error, and a reader behind them. Raises JuteError."""
    reader = Reader(payload)
    reader.skip(_REPLY.size)
    xid, zxid, error = _REPLY.unpack_from(payload)
    return xid, zxid, error, reader


def read_event(reader: Reader) -> tuple[WatchKind | None, str]:
    """Kind and the server's path of a watch event; None for a kind without a path (session state)."""
    kind = reader.int32()
    reader.int32()
    path = reader.text()
    return (WatchKind(kind) if kind in (1, 2, 3, 4) else None), path


def _read_stat(reader: Reader) -> Stat:
    at = reader.pos
    reader.skip(_STAT.size)
    return Stat(*_STAT.unpack_from(reader.data, at))


def _pack_acl(acl: Sequence[Acl]) -> bytes:
    return pack_vector(pack_int(entry.perms) + pack_string(entry.scheme) + pack_string(entry.id) for entry in acl)
