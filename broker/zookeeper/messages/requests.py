"""The bodies of requests (org.apache.zookeeper.proto.*Request, MultiOperationRecord)."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

from broker.zookeeper.jute import (
    FALSE,
    TRUE,
    JuteError,
    Reader,
    pack_buffer,
    pack_int,
    pack_long,
    pack_string,
    pack_strings,
)
from broker.zookeeper.messages.codes import OpCode
from broker.zookeeper.messages.records import EMPTY, Acls, Empty, Record, RequestHeader, frame, pack_acls, read_acls

_MULTI_HEADER = Struct(">i?i")
MULTI_END = _MULTI_HEADER.pack(-1, True, -1)


class CreateRequest(NamedTuple):
    """create, create2, createContainer (flags 4); flags: 1 ephemeral, 2 sequential, 3 both."""

    path: str
    data: bytes | None
    acl: Acls | None
    flags: int

    def encode(self) -> bytes:
        return pack_string(self.path) + pack_buffer(self.data) + pack_acls(self.acl) + pack_int(self.flags)

    @classmethod
    def decode(cls, reader: Reader) -> CreateRequest:
        return cls(reader.path(), reader.buffer(), read_acls(reader), reader.int32())


class CreateTtlRequest(NamedTuple):
    """createTTL: flags 5, or 6 sequential; ``ttl`` in milliseconds."""

    path: str
    data: bytes | None
    acl: Acls | None
    flags: int
    ttl: int

    def encode(self) -> bytes:
        return CreateRequest(*self[:4]).encode() + pack_long(self.ttl)

    @classmethod
    def decode(cls, reader: Reader) -> CreateTtlRequest:
        return cls(reader.path(), reader.buffer(), read_acls(reader), reader.int32(), reader.int64())


class PathVersion(NamedTuple):
    """delete, check; version -1 matches any."""

    path: str
    version: int

    def encode(self) -> bytes:
        return pack_string(self.path) + pack_int(self.version)

    @classmethod
    def decode(cls, reader: Reader) -> PathVersion:
        return cls(reader.path(), reader.int32())


class PathWatch(NamedTuple):
    """exists, getData, getChildren, getChildren2."""

    path: str
    watch: bool

    def encode(self) -> bytes:
        return pack_string(self.path) + (TRUE if self.watch else FALSE)

    @classmethod
    def decode(cls, reader: Reader) -> PathWatch:
        return cls(reader.path(), reader.boolean())


class PathOnly(NamedTuple):
    """getACL, sync, getAllChildrenNumber, getEphemerals (null reads as "")."""

    path: str

    def encode(self) -> bytes:
        return pack_string(self.path)

    @classmethod
    def decode(cls, reader: Reader) -> PathOnly:
        return cls(reader.text())


class SetDataRequest(NamedTuple):
    path: str
    data: bytes | None
    version: int

    def encode(self) -> bytes:
        return pack_string(self.path) + pack_buffer(self.data) + pack_int(self.version)

    @classmethod
    def decode(cls, reader: Reader) -> SetDataRequest:
        return cls(reader.path(), reader.buffer(), reader.int32())


class SetAclRequest(NamedTuple):
    """``version`` is compared with the stat's ``aversion``."""

    path: str
    acl: Acls | None
    version: int

    def encode(self) -> bytes:
        return pack_string(self.path) + pack_acls(self.acl) + pack_int(self.version)

    @classmethod
    def decode(cls, reader: Reader) -> SetAclRequest:
        return cls(reader.path(), read_acls(reader), reader.int32())


class AuthRequest(NamedTuple):
    """Sent with xid -4."""

    type: int
    scheme: str
    auth: bytes | None

    def encode(self) -> bytes:
        return pack_int(self.type) + pack_string(self.scheme) + pack_buffer(self.auth)

    @classmethod
    def decode(cls, reader: Reader) -> AuthRequest:
        return cls(reader.int32(), reader.text(), reader.buffer())


class SetWatchesRequest(NamedTuple):
    """setWatches and, with the last two lists, setWatches2; sent with xid -8."""

    relative_zxid: int
    data: tuple[str, ...]
    exist: tuple[str, ...]
    child: tuple[str, ...]
    persistent: tuple[str, ...] | None = None
    recursive: tuple[str, ...] | None = None

    def encode(self) -> bytes:
        lists: list[tuple[str, ...]] = [self.data, self.exist, self.child]
        if self.persistent is not None or self.recursive is not None:
            lists += [self.persistent or (), self.recursive or ()]
        return pack_long(self.relative_zxid) + b"".join(pack_strings(paths) for paths in lists)

    @classmethod
    def decode(cls, reader: Reader) -> SetWatchesRequest:
        return cls(reader.int64(), *(tuple(reader.vector(reader.text) or ()) for _ in range(3)))

    @classmethod
    def decode2(cls, reader: Reader) -> SetWatchesRequest:
        return cls(reader.int64(), *(tuple(reader.vector(reader.text) or ()) for _ in range(5)))


class PathMode(NamedTuple):
    """addWatch (0 persistent, 1 recursive); checkWatches and removeWatches (1 children, 2 data, 3 any)."""

    path: str
    mode: int

    def encode(self) -> bytes:
        return pack_string(self.path) + pack_int(self.mode)

    @classmethod
    def decode(cls, reader: Reader) -> PathMode:
        return cls(reader.path(), reader.int32())


class ReconfigRequest(NamedTuple):
    joining: str | None
    leaving: str | None
    members: str | None
    config_id: int

    def encode(self) -> bytes:
        return b"".join(pack_string(part) for part in self[:3]) + pack_long(self.config_id)

    @classmethod
    def decode(cls, reader: Reader) -> ReconfigRequest:
        return cls(reader.string(), reader.string(), reader.string(), reader.int64())


class SaslMessage(NamedTuple):
    """sasl, both ways."""

    token: bytes | None

    def encode(self) -> bytes:
        return pack_buffer(self.token)

    @classmethod
    def decode(cls, reader: Reader) -> SaslMessage:
        return cls(reader.buffer())


class MultiRequest(NamedTuple):
    """multi (creates, delete, setData, check) and multiRead (getData, getChildren)."""

    ops: tuple[tuple[int, Record], ...]

    def encode(self) -> bytes:
        parts = [_MULTI_HEADER.pack(opcode, False, -1) + body.encode() for opcode, body in self.ops]
        return b"".join(parts) + MULTI_END

    @classmethod
    def decode(cls, reader: Reader) -> MultiRequest:
        """Raises JuteError for an operation that cannot be part of a multi, and for reads mixed with writes."""
        ops: list[tuple[int, Record]] = []
        kind: str | None = None
        while True:
            opcode, done, _ = reader.int32(), reader.boolean(), reader.int32()
            if done:
                return cls(tuple(ops))
            member = _MULTI_MEMBERS.get(opcode)
            if member is None or (kind is not None and member[0] != kind):
                raise JuteError(f"operation {opcode} in a multi")
            kind = member[0]
            ops.append((opcode, member[1](reader)))

    @property
    def reads(self) -> bool:
        """Whether it holds reads; an empty one does not."""
        return bool(self.ops) and _MULTI_MEMBERS[self.ops[0][0]][0] == "read"


Decoder = Callable[[Reader], Record]

_MULTI_MEMBERS: dict[int, tuple[str, Decoder]] = {
    OpCode.CREATE: ("write", CreateRequest.decode),
    OpCode.CREATE2: ("write", CreateRequest.decode),
    OpCode.CREATE_CONTAINER: ("write", CreateRequest.decode),
    OpCode.CREATE_TTL: ("write", CreateTtlRequest.decode),
    OpCode.DELETE: ("write", PathVersion.decode),
    OpCode.SET_DATA: ("write", SetDataRequest.decode),
    OpCode.CHECK: ("write", PathVersion.decode),
    OpCode.GET_DATA: ("read", PathWatch.decode),
    OpCode.GET_CHILDREN: ("read", PathWatch.decode),
}

REQUESTS: dict[int, Decoder] = {
    OpCode.CREATE: CreateRequest.decode,
    OpCode.CREATE2: CreateRequest.decode,
    OpCode.CREATE_CONTAINER: CreateRequest.decode,
    OpCode.CREATE_TTL: CreateTtlRequest.decode,
    OpCode.DELETE: PathVersion.decode,
    OpCode.EXISTS: PathWatch.decode,
    OpCode.GET_DATA: PathWatch.decode,
    OpCode.SET_DATA: SetDataRequest.decode,
    OpCode.GET_ACL: PathOnly.decode,
    OpCode.SET_ACL: SetAclRequest.decode,
    OpCode.GET_CHILDREN: PathWatch.decode,
    OpCode.GET_CHILDREN2: PathWatch.decode,
    OpCode.SYNC: PathOnly.decode,
    OpCode.PING: Empty.decode,
    OpCode.CLOSE_SESSION: Empty.decode,
    OpCode.MULTI: MultiRequest.decode,
    OpCode.MULTI_READ: MultiRequest.decode,
    OpCode.RECONFIG: ReconfigRequest.decode,
    OpCode.CHECK_WATCHES: PathMode.decode,
    OpCode.REMOVE_WATCHES: PathMode.decode,
    OpCode.ADD_WATCH: PathMode.decode,
    OpCode.AUTH: AuthRequest.decode,
    OpCode.SET_WATCHES: SetWatchesRequest.decode,
    OpCode.SET_WATCHES2: SetWatchesRequest.decode2,
    OpCode.SASL: SaslMessage.decode,
    OpCode.GET_EPHEMERALS: PathOnly.decode,
    OpCode.GET_ALL_CHILDREN_NUMBER: PathOnly.decode,
    OpCode.WHO_AM_I: Empty.decode,
}
"""The operations a client may send (a bare check is none of them: ZOOKEEPER-2623)."""


def encode_request(xid: int, opcode: int, body: Record = EMPTY) -> bytes:
    """A whole frame, its length included."""
    return frame(RequestHeader(xid, opcode).encode() + body.encode())


def decode_request(opcode: int, reader: Reader) -> Record:
    """The body, with ``reader`` behind the header. KeyError: no such operation; JuteError: bytes are missing."""
    return REQUESTS[opcode](reader)
