"""The bodies of replies (org.apache.zookeeper.proto.*Response, MultiResponse)."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

from broker.zookeeper.jute import Reader, pack_buffer, pack_int, pack_string, pack_strings, pack_vector
from broker.zookeeper.messages.codes import OpCode
from broker.zookeeper.messages.records import (
    Acls,
    Empty,
    Record,
    ReplyHeader,
    Stat,
    WatcherEvent,
    frame,
    pack_acls,
    read_acls,
)
from broker.zookeeper.messages.requests import MULTI_END, SaslMessage

_MULTI_HEADER = Struct(">i?i")
_FRAMED_REPLY = Struct(">iiqi")
_FRAMED_EVENT = Struct(">iiqiii")


class PathReply(NamedTuple):
    """create, sync."""

    path: str

    def encode(self) -> bytes:
        return pack_string(self.path)

    @classmethod
    def decode(cls, reader: Reader) -> PathReply:
        return cls(reader.text())


class Create2Reply(NamedTuple):
    """create2, createContainer, createTTL."""

    path: str
    stat: Stat

    def encode(self) -> bytes:
        return pack_string(self.path) + self.stat.encode()

    @classmethod
    def decode(cls, reader: Reader) -> Create2Reply:
        return cls(reader.text(), Stat.decode(reader))


class StatReply(NamedTuple):
    """exists, setData, setACL."""

    stat: Stat

    def encode(self) -> bytes:
        return self.stat.encode()

    @classmethod
    def decode(cls, reader: Reader) -> StatReply:
        return cls(Stat.decode(reader))


class DataReply(NamedTuple):
    """getData; null and empty differ."""

    data: bytes | None
    stat: Stat

    def encode(self) -> bytes:
        return pack_buffer(self.data) + self.stat.encode()

    @classmethod
    def decode(cls, reader: Reader) -> DataReply:
        return cls(reader.buffer(), Stat.decode(reader))


class AclReply(NamedTuple):
    acl: Acls | None
    stat: Stat

    def encode(self) -> bytes:
        return pack_acls(self.acl) + self.stat.encode()

    @classmethod
    def decode(cls, reader: Reader) -> AclReply:
        return cls(read_acls(reader), Stat.decode(reader))


class ChildrenReply(NamedTuple):
    """getChildren, getEphemerals."""

    children: tuple[str, ...]

    def encode(self) -> bytes:
        return pack_strings(self.children)

    @classmethod
    def decode(cls, reader: Reader) -> ChildrenReply:
        return cls(tuple(reader.vector(reader.text) or ()))


class Children2Reply(NamedTuple):
    children: tuple[str, ...]
    stat: Stat

    def encode(self) -> bytes:
        return pack_strings(self.children) + self.stat.encode()

    @classmethod
    def decode(cls, reader: Reader) -> Children2Reply:
        return cls(tuple(reader.vector(reader.text) or ()), Stat.decode(reader))


class IntReply(NamedTuple):
    """addWatch (0), getAllChildrenNumber."""

    value: int

    def encode(self) -> bytes:
        return pack_int(self.value)

    @classmethod
    def decode(cls, reader: Reader) -> IntReply:
        return cls(reader.int32())


class WhoAmIReply(NamedTuple):
    identities: tuple[tuple[str, str], ...]

    def encode(self) -> bytes:
        return pack_vector([pack_string(scheme) + pack_string(user) for scheme, user in self.identities])

    @classmethod
    def decode(cls, reader: Reader) -> WhoAmIReply:
        return cls(tuple(reader.vector(lambda: (reader.text(), reader.text())) or ()))


class ErrorResult(NamedTuple):
    """An operation of a multi that was refused: its code; in a failed multi 0 before the culprit and -2 after it."""

    err: int

    def encode(self) -> bytes:
        return pack_int(self.err)

    @classmethod
    def decode(cls, reader: Reader) -> ErrorResult:
        return cls(reader.int32())


class MultiReply(NamedTuple):
    """Per operation its type and result; type -1 goes with an :class:`ErrorResult`. The header's err is 0 even then."""

    results: tuple[tuple[int, Record], ...]

    def encode(self) -> bytes:
        parts: list[bytes] = []
        for kind, result in self.results:
            err = result.err if isinstance(result, ErrorResult) else 0
            parts.append(_MULTI_HEADER.pack(kind, False, err) + result.encode())
        return b"".join(parts) + MULTI_END

    @classmethod
    def decode(cls, reader: Reader) -> MultiReply:
        results: list[tuple[int, Record]] = []
        while True:
            kind, done, _ = reader.int32(), reader.boolean(), reader.int32()
            if done:
                return cls(tuple(results))
            results.append((kind, ErrorResult.decode(reader) if kind == -1 else REPLIES[kind](reader)))


REPLIES: dict[int, Callable[[Reader], Record]] = {
    OpCode.CREATE: PathReply.decode,
    OpCode.CREATE2: Create2Reply.decode,
    OpCode.CREATE_CONTAINER: Create2Reply.decode,
    OpCode.CREATE_TTL: Create2Reply.decode,
    OpCode.DELETE: Empty.decode,
    OpCode.EXISTS: StatReply.decode,
    OpCode.GET_DATA: DataReply.decode,
    OpCode.SET_DATA: StatReply.decode,
    OpCode.GET_ACL: AclReply.decode,
    OpCode.SET_ACL: StatReply.decode,
    OpCode.GET_CHILDREN: ChildrenReply.decode,
    OpCode.GET_CHILDREN2: Children2Reply.decode,
    OpCode.SYNC: PathReply.decode,
    OpCode.PING: Empty.decode,
    OpCode.CHECK: Empty.decode,
    OpCode.CLOSE_SESSION: Empty.decode,
    OpCode.MULTI: MultiReply.decode,
    OpCode.MULTI_READ: MultiReply.decode,
    OpCode.RECONFIG: DataReply.decode,
    OpCode.CHECK_WATCHES: Empty.decode,
    OpCode.REMOVE_WATCHES: Empty.decode,
    OpCode.ADD_WATCH: IntReply.decode,
    OpCode.AUTH: Empty.decode,
    OpCode.SET_WATCHES: Empty.decode,
    OpCode.SET_WATCHES2: Empty.decode,
    OpCode.SASL: SaslMessage.decode,
    OpCode.GET_EPHEMERALS: ChildrenReply.decode,
    OpCode.GET_ALL_CHILDREN_NUMBER: IntReply.decode,
    OpCode.WHO_AM_I: WhoAmIReply.decode,
}


def encode_reply(xid: int, zxid: int, err: int, body: bytes = b"") -> bytes:
    """A whole frame, its length included; ``body`` is already encoded and empty where ``err`` is not 0."""
    return _FRAMED_REPLY.pack(16 + len(body), xid, zxid, err) + body


def encode_event(event: WatcherEvent) -> bytes:
    """A whole frame: header (xid -1, zxid -1, err 0) and event."""
    return frame(ReplyHeader(-1, -1, 0).encode() + event.encode())


def decode_reply(opcode: int, reader: Reader) -> Record:
    """The body of the reply to ``opcode``, with ``reader`` behind a header whose err was 0."""
    return REPLIES[opcode](reader)
