"""What many messages share: headers, the handshake, ACL, stat and watch event (org.apache.zookeeper.data, .proto)."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple, Protocol

from broker.zookeeper.jute import Reader, pack_boolean, pack_buffer, pack_int, pack_long, pack_string, pack_vector

_HEADER = Struct(">ii")
_REPLY = Struct(">iqi")
_STAT = Struct(">qqqqiiiqiiq")


class Record(Protocol):
    """What every message can do."""

    def encode(self) -> bytes: ...


def frame(payload: bytes) -> bytes:
    """``payload`` behind its length."""
    return pack_int(len(payload)) + payload


class Empty(NamedTuple):
    """A body without fields: the replies to delete, ping, auth, setWatches, closeSession."""

    def encode(self) -> bytes:
        return b""

    @classmethod
    def decode(cls, reader: Reader) -> Empty:
        return EMPTY


EMPTY = Empty()


class Acl(NamedTuple):
    """``perms``: READ 1, WRITE 2, CREATE 4, DELETE 8, ADMIN 16."""

    perms: int
    scheme: str
    id: str

    def encode(self) -> bytes:
        return pack_int(self.perms) + pack_string(self.scheme) + pack_string(self.id)

    @classmethod
    def decode(cls, reader: Reader) -> Acl:
        return cls(reader.int32(), reader.text(), reader.text())


Acls = tuple[Acl, ...]
OPEN_ACL: Acls = (Acl(31, "world", "anyone"),)


def read_acls(reader: Reader) -> Acls | None:
    found = reader.vector(lambda: Acl.decode(reader))
    return None if found is None else tuple(found)


def pack_acls(acls: Sequence[Acl] | None) -> bytes:
    return pack_vector(None if acls is None else [acl.encode() for acl in acls])


class Stat(NamedTuple):
    """68 bytes; times are wall milliseconds."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int

    def encode(self) -> bytes:
        return _STAT.pack(*self)

    @classmethod
    def decode(cls, reader: Reader) -> Stat:
        start = reader.pos
        reader.skip(_STAT.size)
        return cls(*_STAT.unpack_from(reader.data, start))


class ConnectRequest(NamedTuple):
    """The first frame of a connection. ``read_only`` None: an old client that does not send the field."""

    protocol_version: int
    last_zxid_seen: int
    timeout_ms: int
    session_id: int
    password: bytes | None
    read_only: bool | None = False

    def encode(self) -> bytes:
        return (
            pack_int(self.protocol_version)
            + pack_long(self.last_zxid_seen)
            + pack_int(self.timeout_ms)
            + pack_long(self.session_id)
            + pack_buffer(self.password)
            + (b"" if self.read_only is None else pack_boolean(self.read_only))
        )

    @classmethod
    def decode(cls, reader: Reader) -> ConnectRequest:
        version, zxid, timeout, session = reader.int32(), reader.int64(), reader.int32(), reader.int64()
        password = reader.buffer()
        return cls(version, zxid, timeout, session, password, reader.boolean() if reader.pos < reader.end else None)


class ConnectResponse(NamedTuple):
    """``timeout_ms`` 0: the session is refused (expired, unknown, or a wrong password)."""

    protocol_version: int
    timeout_ms: int
    session_id: int
    password: bytes
    read_only: bool | None = False

    def encode(self) -> bytes:
        return (
            pack_int(self.protocol_version)
            + pack_int(self.timeout_ms)
            + pack_long(self.session_id)
            + pack_buffer(self.password)
            + (b"" if self.read_only is None else pack_boolean(self.read_only))
        )

    @classmethod
    def decode(cls, reader: Reader) -> ConnectResponse:
        version, timeout, session, password = reader.int32(), reader.int32(), reader.int64(), reader.buffer()
        return cls(version, timeout, session, password or b"", reader.boolean() if reader.pos < reader.end else None)


class RequestHeader(NamedTuple):
    xid: int
    opcode: int

    def encode(self) -> bytes:
        return _HEADER.pack(*self)

    @classmethod
    def decode(cls, reader: Reader) -> RequestHeader:
        start = reader.pos
        reader.skip(8)
        return cls(*_HEADER.unpack_from(reader.data, start))


class ReplyHeader(NamedTuple):
    """``zxid``: the last one applied when the reply was made. ``err``: a :class:`Code`."""

    xid: int
    zxid: int
    err: int

    def encode(self) -> bytes:
        return _REPLY.pack(*self)

    @classmethod
    def decode(cls, reader: Reader) -> ReplyHeader:
        start = reader.pos
        reader.skip(16)
        return cls(*_REPLY.unpack_from(reader.data, start))


class WatcherEvent(NamedTuple):
    """``type``: 1 created, 2 deleted, 3 data changed, 4 children changed."""

    type: int
    state: int
    path: str

    def encode(self) -> bytes:
        return _HEADER.pack(self.type, self.state) + pack_string(self.path)

    @classmethod
    def decode(cls, reader: Reader) -> WatcherEvent:
        return cls(reader.int32(), reader.int32(), reader.text())
