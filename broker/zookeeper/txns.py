"""Transactions as ZooKeeper's log holds them (org.apache.zookeeper.txn, SerializeUtils).

A transaction is a header and one record. What a client asked for ("delete version 3") has become what is done
("delete"); versions are absolute, so that replaying one that a snapshot holds already changes nothing.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from broker.zookeeper.jute import (
    JuteError,
    Reader,
    pack_boolean,
    pack_buffer,
    pack_int,
    pack_long,
    pack_string,
    pack_strings,
    pack_vector,
)
from broker.zookeeper.messages import Acls, OpCode, pack_acls, read_acls

_HEADER = Struct(">qiqqi")


class TxnHeader(NamedTuple):
    """``time``: wall milliseconds; ``type``: an :class:`OpCode`, ERROR for a write that was refused."""

    session_id: int
    cxid: int
    zxid: int
    time: int
    type: int

    def encode(self) -> bytes:
        return _HEADER.pack(*self)

    @classmethod
    def decode(cls, reader: Reader) -> TxnHeader:
        start = reader.pos
        reader.skip(_HEADER.size)
        return cls(*_HEADER.unpack_from(reader.data, start))


class CreateTxn(NamedTuple):
    """create, create2. ``parent_cversion``: the parent's count of creates after this one; -1 in very old logs."""

    path: str
    data: bytes | None
    acl: Acls | None
    ephemeral: bool
    parent_cversion: int

    def encode(self) -> bytes:
        flags = pack_boolean(self.ephemeral) + pack_int(self.parent_cversion)
        return pack_string(self.path) + pack_buffer(self.data) + pack_acls(self.acl) + flags

    @classmethod
    def decode(cls, reader: Reader) -> CreateTxn:
        path, data, acl, ephemeral = reader.text(), reader.buffer(), read_acls(reader), reader.boolean()
        return cls(path, data, acl, ephemeral, reader.int32() if reader.pos < reader.end else -1)


class CreateTtlTxn(NamedTuple):
    path: str
    data: bytes | None
    acl: Acls | None
    parent_cversion: int
    ttl: int

    def encode(self) -> bytes:
        tail = pack_int(self.parent_cversion) + pack_long(self.ttl)
        return pack_string(self.path) + pack_buffer(self.data) + pack_acls(self.acl) + tail

    @classmethod
    def decode(cls, reader: Reader) -> CreateTtlTxn:
        return cls(reader.text(), reader.buffer(), read_acls(reader), reader.int32(), reader.int64())


class CreateContainerTxn(NamedTuple):
    path: str
    data: bytes | None
    acl: Acls | None
    parent_cversion: int

    def encode(self) -> bytes:
        tail = pack_int(self.parent_cversion)
        return pack_string(self.path) + pack_buffer(self.data) + pack_acls(self.acl) + tail

    @classmethod
    def decode(cls, reader: Reader) -> CreateContainerTxn:
        return cls(reader.text(), reader.buffer(), read_acls(reader), reader.int32())


class DeleteTxn(NamedTuple):
    path: str

    def encode(self) -> bytes:
        return pack_string(self.path)

    @classmethod
    def decode(cls, reader: Reader) -> DeleteTxn:
        return cls(reader.text())


class SetDataTxn(NamedTuple):
    """``version``: the node's version after it."""

    path: str
    data: bytes | None
    version: int

    def encode(self) -> bytes:
        return pack_string(self.path) + pack_buffer(self.data) + pack_int(self.version)

    @classmethod
    def decode(cls, reader: Reader) -> SetDataTxn:
        return cls(reader.text(), reader.buffer(), reader.int32())


class SetAclTxn(NamedTuple):
    """``version``: the node's aversion after it."""

    path: str
    acl: Acls | None
    version: int

    def encode(self) -> bytes:
        return pack_string(self.path) + pack_acls(self.acl) + pack_int(self.version)

    @classmethod
    def decode(cls, reader: Reader) -> SetAclTxn:
        return cls(reader.text(), read_acls(reader), reader.int32())


class CheckTxn(NamedTuple):
    path: str
    version: int

    def encode(self) -> bytes:
        return pack_string(self.path) + pack_int(self.version)

    @classmethod
    def decode(cls, reader: Reader) -> CheckTxn:
        return cls(reader.text(), reader.int32())


class CreateSessionTxn(NamedTuple):
    timeout_ms: int

    def encode(self) -> bytes:
        return pack_int(self.timeout_ms)

    @classmethod
    def decode(cls, reader: Reader) -> CreateSessionTxn:
        return cls(reader.int32())


class CloseSessionTxn(NamedTuple):
    """``paths`` None: a log of ZooKeeper 3.5, all ephemerals of the session."""

    paths: tuple[str, ...] | None

    def encode(self) -> bytes:
        return pack_strings(self.paths)

    @classmethod
    def decode(cls, reader: Reader) -> CloseSessionTxn:
        if reader.end - reader.pos < 4:
            return cls(None)
        try:
            return cls(tuple(reader.vector(reader.text) or ()))
        except JuteError:
            return cls(None)  # 3.5 with a digest behind the header


class ErrorTxn(NamedTuple):
    err: int

    def encode(self) -> bytes:
        return pack_int(self.err)

    @classmethod
    def decode(cls, reader: Reader) -> ErrorTxn:
        return cls(reader.int32())


class MultiTxn(NamedTuple):
    """(type, record) of each operation."""

    txns: tuple[tuple[int, Txn], ...]

    def encode(self) -> bytes:
        return pack_vector([pack_int(kind) + pack_buffer(record.encode()) for kind, record in self.txns])

    @classmethod
    def decode(cls, reader: Reader) -> MultiTxn:
        txns: list[tuple[int, Txn]] = []
        for _ in range(reader.int32()):
            kind = reader.int32()
            txns.append((kind, decode_record(kind, Reader(reader.buffer() or b""))))
        return cls(tuple(txns))


Create = CreateTxn | CreateTtlTxn | CreateContainerTxn
Txn = Create | DeleteTxn | SetDataTxn | SetAclTxn | CheckTxn | CreateSessionTxn | CloseSessionTxn | ErrorTxn | MultiTxn

_TXNS = {
    OpCode.CREATE: CreateTxn.decode,
    OpCode.CREATE2: CreateTxn.decode,
    OpCode.CREATE_TTL: CreateTtlTxn.decode,
    OpCode.CREATE_CONTAINER: CreateContainerTxn.decode,
    OpCode.DELETE: DeleteTxn.decode,
    OpCode.DELETE_CONTAINER: DeleteTxn.decode,
    OpCode.SET_DATA: SetDataTxn.decode,
    OpCode.RECONFIG: SetDataTxn.decode,
    OpCode.SET_ACL: SetAclTxn.decode,
    OpCode.CHECK: CheckTxn.decode,
    OpCode.CREATE_SESSION: CreateSessionTxn.decode,
    OpCode.CLOSE_SESSION: CloseSessionTxn.decode,
    OpCode.ERROR: ErrorTxn.decode,
    OpCode.MULTI: MultiTxn.decode,
}


def decode_record(kind: int, reader: Reader) -> Txn:
    """The record of a transaction of type ``kind``. Raises JuteError for an unknown type or missing bytes."""
    decoder = _TXNS.get(kind)  # type: ignore[call-overload]
    if decoder is None:
        raise JuteError(f"unknown transaction type {kind}")
    record: Txn = decoder(reader)
    return record


def decode_txn(payload: bytes) -> tuple[TxnHeader, Txn]:
    """Header and record of one log entry; a digest behind them is ignored."""
    reader = Reader(payload)
    header = TxnHeader.decode(reader)
    return header, decode_record(header.type, reader)
