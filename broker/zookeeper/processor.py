"""Turns requests into transactions, and reads into replies (PrepRequestProcessor, FinalRequestProcessor).

A machine. A write is checked against the tree, applied in memory, and only then handed out to be logged: so the log
never holds what replay would refuse (ZooKeeper 3.8 logs first, and a bare check or a createTTL without a TTL leaves it
unable to start). Every write takes a zxid, refused ones too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, cast

from broker.zookeeper import acl as acls
from broker.zookeeper.acl import ADMIN, CREATE, DELETE, READ, WRITE, Identity
from broker.zookeeper.messages import (
    AclReply,
    Acls,
    Children2Reply,
    ChildrenReply,
    Code,
    Create2Reply,
    CreateRequest,
    CreateTtlRequest,
    DataReply,
    Empty,
    ErrorResult,
    IntReply,
    MultiReply,
    MultiRequest,
    OpCode,
    PathReply,
    PathVersion,
    Record,
    SetAclRequest,
    SetDataRequest,
    StatReply,
)
from broker.zookeeper.paths import SPECIAL, is_valid, parent_of
from broker.zookeeper.tree import MAX_TTL, Change, Node, Tree, Undo
from broker.zookeeper.txns import (
    CheckTxn,
    CloseSessionTxn,
    CreateContainerTxn,
    CreateSessionTxn,
    CreateTtlTxn,
    CreateTxn,
    DeleteTxn,
    ErrorTxn,
    MultiTxn,
    SetAclTxn,
    SetDataTxn,
    Txn,
    TxnHeader,
)

EMPTY = Empty()
EPHEMERAL, SEQUENTIAL = 1, 2
_SEQUENTIAL_FLAGS = (2, 3, 6)
_EPHEMERAL_FLAGS = (1, 3)
_TTL_FLAGS = (5, 6)
_CONTAINER_FLAG = 4
_MAX_FLAG = 6


class Refused(Exception):
    """A request that ZooKeeper answers with an error code."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


class Outcome(NamedTuple):
    """What a write came to: the transaction for the log, the reply, and what watchers hear."""

    header: TxnHeader
    txn: Txn
    err: int
    reply: Record
    changes: Sequence[Change]


class Processor:
    """``extended_types``: whether TTL nodes may be made; ``enforce_quota``: whether hard limits refuse."""

    def __init__(self, tree: Tree, *, extended_types: bool = False, enforce_quota: bool = False) -> None:
        self.tree = tree
        self.extended_types = extended_types
        self.enforce_quota = enforce_quota

    # --- writes ---

    def write(
        self, opcode: int, request: Record, session_id: int, cxid: int, wall_ms: int, identities: Sequence[Identity]
    ) -> Outcome:
        """Perform a create, delete, setData, setACL or multi; a refused one changes nothing but the zxid."""
        if opcode == OpCode.MULTI:
            return self._multi(cast("MultiRequest", request), session_id, cxid, wall_ms, identities)
        header = TxnHeader(session_id, cxid, self.tree.last_zxid + 1, wall_ms, opcode)
        changes: list[Change] = []
        try:
            kind, txn = self._prepare(opcode, request, identities)
        except Refused as refused:
            return self.refuse(session_id, cxid, wall_ms, refused.code)
        header = header._replace(type=kind)
        self.tree.perform(header, txn, changes)
        self.tree.last_zxid = header.zxid
        return Outcome(header, txn, 0, self._reply(opcode, txn), changes)

    def refuse(self, session_id: int, cxid: int, wall_ms: int, code: int) -> Outcome:
        """A write that was not understood or not allowed."""
        header = TxnHeader(session_id, cxid, self.tree.last_zxid + 1, wall_ms, OpCode.ERROR)
        self.tree.last_zxid = header.zxid
        return Outcome(header, ErrorTxn(code), code, EMPTY, ())

    def create_session(self, session_id: int, timeout_ms: int, wall_ms: int) -> Outcome:
        header = TxnHeader(session_id, 0, self.tree.last_zxid + 1, wall_ms, OpCode.CREATE_SESSION)
        txn = CreateSessionTxn(timeout_ms)
        return Outcome(header, txn, 0, EMPTY, self.tree.apply(header, txn))

    def close_session(self, session_id: int, cxid: int, wall_ms: int) -> Outcome:
        """By its client or by expiry: all its ephemerals go with one zxid."""
        header = TxnHeader(session_id, cxid, self.tree.last_zxid + 1, wall_ms, OpCode.CLOSE_SESSION)
        txn = CloseSessionTxn(self.tree.ephemerals_of(session_id))
        return Outcome(header, txn, 0, EMPTY, self.tree.apply(header, txn))

    def remove_overdue(self, path: str, wall_ms: int) -> Outcome:
        """Delete a container or TTL node that :meth:`Tree.overdue` named."""
        header = TxnHeader(0, 0, self.tree.last_zxid + 1, wall_ms, OpCode.DELETE_CONTAINER)
        txn = DeleteTxn(path)
        return Outcome(header, txn, 0, EMPTY, self.tree.apply(header, txn))

    def _multi(
        self, request: MultiRequest, session_id: int, cxid: int, wall_ms: int, identities: Sequence[Identity]
    ) -> Outcome:
        header = TxnHeader(session_id, cxid, self.tree.last_zxid + 1, wall_ms, OpCode.MULTI)
        changes: list[Change] = []
        done: list[tuple[int, Txn]] = []
        results: list[tuple[int, Record]] = []
        undos: list[Undo] = []
        for opcode, op in request.ops:
            try:
                kind, txn = self._prepare(opcode, op, identities)
            except Refused as refused:
                for undo in reversed(undos):
                    undo()
                reply = _failed_multi(len(request.ops), len(done), refused.code)
                refusal = self.refuse(session_id, cxid, wall_ms, refused.code)
                return refusal._replace(err=0, reply=reply)
            undo_one = self.tree.perform(header._replace(type=kind), txn, changes)
            if undo_one is not None:
                undos.append(undo_one)
            done.append((kind, txn))
            results.append(self._multi_result(txn))
        self.tree.last_zxid = header.zxid
        return Outcome(header, MultiTxn(tuple(done)), 0, MultiReply(tuple(results)), changes)

    def _multi_result(self, txn: Txn) -> tuple[int, Record]:
        """ZooKeeper rebuilds the operation from its flags, so that a create2 in a multi answers like a create."""
        if isinstance(txn, CreateTxn):
            return OpCode.CREATE, PathReply(txn.path)
        if isinstance(txn, CreateTtlTxn | CreateContainerTxn):
            return OpCode.CREATE2, Create2Reply(txn.path, self.tree.nodes[txn.path].stat())
        if isinstance(txn, SetDataTxn):
            return OpCode.SET_DATA, StatReply(self.tree.nodes[txn.path].stat())
        return (OpCode.DELETE if isinstance(txn, DeleteTxn) else OpCode.CHECK), EMPTY

    def _reply(self, opcode: int, txn: Txn) -> Record:
        if isinstance(txn, DeleteTxn | CheckTxn | MultiTxn | ErrorTxn | CreateSessionTxn | CloseSessionTxn):
            return EMPTY
        if opcode == OpCode.CREATE:
            return PathReply(txn.path)
        stat = self.tree.nodes[txn.path].stat()
        return StatReply(stat) if isinstance(txn, SetDataTxn | SetAclTxn) else Create2Reply(txn.path, stat)

    def _prepare(self, opcode: int, request: Record, identities: Sequence[Identity]) -> tuple[int, Txn]:
        """Check one write; (transaction type, transaction)."""
        if isinstance(request, CreateRequest | CreateTtlRequest):
            return self._prepare_create(opcode, request, identities)
        if isinstance(request, SetDataRequest):
            return OpCode.SET_DATA, self._prepare_set_data(request, identities)
        if isinstance(request, SetAclRequest):
            return OpCode.SET_ACL, self._prepare_set_acl(request, identities)
        removal = cast("PathVersion", request)
        if opcode == OpCode.DELETE:
            return OpCode.DELETE, self._prepare_delete(removal, identities)
        node = self._node(_checked(removal.path))
        self._allow(node, READ, identities)
        _compare(node.version, removal.version)
        return OpCode.CHECK, CheckTxn(removal.path, removal.version)

    def _prepare_create(
        self, opcode: int, request: CreateRequest | CreateTtlRequest, identities: Sequence[Identity]
    ) -> tuple[int, Txn]:
        path = request.path
        flags = _CONTAINER_FLAG if opcode == OpCode.CREATE_CONTAINER else request.flags
        ttl = self._checked_flags(opcode, request)
        if "/" not in path or "\0" in path:
            raise Refused(Code.BAD_ARGUMENTS)
        stored = _stored_acl(request.acl, identities)
        parent_path = parent_of(path)
        parent = self._node(parent_path)
        self._allow(parent, CREATE, identities)
        if flags in _SEQUENTIAL_FLAGS:
            path = f"{path}{parent.creates:010d}"
        _checked(path)
        if path in self.tree.nodes:
            raise Refused(Code.NODE_EXISTS)
        if parent.is_ephemeral:
            raise Refused(Code.NO_CHILDREN_FOR_EPHEMERALS)
        if self.enforce_quota and self.tree.quotas.exceeded(path, 1, len(request.data or b"")):
            raise Refused(Code.QUOTA_EXCEEDED)
        creates = parent.creates + 1
        if flags in _TTL_FLAGS:
            return OpCode.CREATE_TTL, CreateTtlTxn(path, request.data, stored, creates, ttl)
        if flags == _CONTAINER_FLAG:
            return OpCode.CREATE_CONTAINER, CreateContainerTxn(path, request.data, stored, creates)
        kind = OpCode.CREATE2 if opcode == OpCode.CREATE2 else OpCode.CREATE
        return kind, CreateTxn(path, request.data, stored, flags in _EPHEMERAL_FLAGS, creates)

    def _checked_flags(self, opcode: int, request: CreateRequest | CreateTtlRequest) -> int:
        """The TTL, 0 for none. createTTL goes with TTL flags and TTL flags with createTTL."""
        if not 0 <= request.flags <= _MAX_FLAG:
            raise Refused(Code.BAD_ARGUMENTS)
        has_ttl = request.flags in _TTL_FLAGS
        if has_ttl and not self.extended_types:
            raise Refused(Code.UNIMPLEMENTED)
        ttl = request.ttl if isinstance(request, CreateTtlRequest) else 0
        if has_ttl != (opcode == OpCode.CREATE_TTL) or (has_ttl and not 0 < ttl <= MAX_TTL):
            raise Refused(Code.BAD_ARGUMENTS)
        return ttl

    def _prepare_delete(self, request: PathVersion, identities: Sequence[Identity]) -> DeleteTxn:
        path = request.path
        if "/" not in path or "\0" in path or path in SPECIAL:
            raise Refused(Code.BAD_ARGUMENTS)
        self._allow(self._node(parent_of(path)), DELETE, identities)
        node = self._node(path)
        _compare(node.version, request.version)
        if node.children:
            raise Refused(Code.NOT_EMPTY)
        return DeleteTxn(path)

    def _prepare_set_data(self, request: SetDataRequest, identities: Sequence[Identity]) -> SetDataTxn:
        node = self._node(_checked(request.path))
        self._allow(node, WRITE, identities)
        growth = len(request.data or b"") - len(node.data or b"")
        if self.enforce_quota and self.tree.quotas.exceeded(request.path, 0, growth):
            raise Refused(Code.QUOTA_EXCEEDED)
        return SetDataTxn(request.path, request.data, _compare(node.version, request.version))

    def _prepare_set_acl(self, request: SetAclRequest, identities: Sequence[Identity]) -> SetAclTxn:
        _checked(request.path)
        stored = _stored_acl(request.acl, identities)
        node = self._node(request.path)
        self._allow(node, ADMIN, identities)
        return SetAclTxn(request.path, stored, _compare(node.aversion, request.version))

    # --- reads ---

    def stat(self, path: str) -> bytes:
        """exists: no permission needed."""
        return self._readable(path).stat_bytes()

    def data(self, path: str, identities: Sequence[Identity]) -> DataReply:
        node = self._readable(path)
        self._allow(node, READ, identities)
        return DataReply(node.data, node.stat())

    def children(self, path: str, identities: Sequence[Identity]) -> Children2Reply:
        node = self._readable(path)
        self._allow(node, READ, identities)
        return Children2Reply(tuple(node.children or ()), node.stat())

    def acl(self, path: str, identities: Sequence[Identity]) -> AclReply:
        node = self._readable(path)
        self._allow(node, READ | ADMIN, identities)
        shown = node.acl if acls.allows(node.acl, ADMIN, identities) else acls.masked(node.acl)
        return AclReply(shown, node.stat())

    def descendants(self, path: str, identities: Sequence[Identity]) -> IntReply:
        node = self._readable(path)
        self._allow(node, READ, identities)
        return IntReply(self.tree.descendants(path or "/"))

    def multi_read(self, request: MultiRequest, identities: Sequence[Identity]) -> MultiReply:
        """getData and getChildren, each on its own: a result or a code."""
        results: list[tuple[int, Record]] = []
        for opcode, op in request.ops:
            path = cast("PathReply", op).path
            try:
                if opcode == OpCode.GET_DATA:
                    results.append((opcode, self.data(path, identities)))
                else:
                    results.append((opcode, ChildrenReply(self.children(path, identities).children)))
            except Refused as refused:
                results.append((OpCode.ERROR, ErrorResult(refused.code)))
        return MultiReply(tuple(results))

    def _readable(self, path: str) -> Node:
        return self._node(path or "/")

    def _node(self, path: str) -> Node:
        node = self.tree.nodes.get(path)
        if node is None:
            raise Refused(Code.NO_NODE)
        return node

    def _allow(self, node: Node, perm: int, identities: Sequence[Identity]) -> None:
        if not acls.allows(node.acl, perm, identities):
            raise Refused(Code.NO_AUTH)


_Path = TypeVar("_Path", bound=str)


def _checked(path: _Path) -> _Path:
    if not is_valid(path):
        raise Refused(Code.BAD_ARGUMENTS)
    return path


def _compare(version: int, expected: int) -> int:
    """The version after a write that expects ``expected`` (-1: any)."""
    if expected not in (-1, version):
        raise Refused(Code.BAD_VERSION)
    return version + 1


def _stored_acl(acl: Acls | None, identities: Sequence[Identity]) -> Acls:
    stored = acls.ready(acl, identities)
    if stored is None:
        raise Refused(Code.INVALID_ACL)
    return stored


def _failed_multi(size: int, failed: int, code: int) -> MultiReply:
    """Nothing was done: 0 before the culprit, -2 after it."""
    errs = [0] * failed + [code] + [Code.RUNTIME_INCONSISTENCY] * (size - failed - 1)
    return MultiReply(tuple((OpCode.ERROR, ErrorResult(err)) for err in errs))
