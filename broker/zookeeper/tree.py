"""The data tree: nodes, their stats, ephemerals, and what a transaction does to them (DataTree, DataNode).

A machine: it imports no asyncio and no host. It applies transactions that were checked before (``processor``) or were
logged (replay). Replay is idempotent, since a snapshot may hold changes that are newer than its name: a create of what
exists, a delete or change of what is gone, change nothing but the parent's counters.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

from broker.zookeeper.messages import OPEN_ACL, Acl, Acls, OpCode, Stat
from broker.zookeeper.paths import CONFIG, QUOTA, name_of, parent_of
from broker.zookeeper.quota import Quotas
from broker.zookeeper.txns import (
    CloseSessionTxn,
    Create,
    CreateContainerTxn,
    CreateSessionTxn,
    CreateTtlTxn,
    CreateTxn,
    DeleteTxn,
    MultiTxn,
    SetAclTxn,
    SetDataTxn,
    Txn,
    TxnHeader,
)

CREATED, DELETED, DATA_CHANGED, CHILDREN_CHANGED = 1, 2, 3, 4

CONTAINER_OWNER = -(2**63)
TTL_MASK = 0xFF << 56
MAX_TTL = 0x000000FFFFFFFFFF

_STAT = Struct(">qqqqiiiqiiq")

Undo = Callable[[], object]


class Change(NamedTuple):
    """What watchers may hear: an event type, its path, and the ACL that decides who may hear it."""

    type: int
    path: str
    acl: Acls


def is_session(owner: int) -> bool:
    """Whether an ephemeral owner is a session and not the mark of a container or TTL node (EphemeralType.get)."""
    return owner > 0 or (owner < 0 and owner != CONTAINER_OWNER and owner >> 56 != -1)


class Node:
    """One znode. ``creates`` counts the children ever created; ``owner`` is a session, a container's or TTL's mark."""

    __slots__ = (
        "acl",
        "aversion",
        "children",
        "creates",
        "ctime",
        "czxid",
        "data",
        "mtime",
        "mzxid",
        "owner",
        "pzxid",
        "version",
    )

    def __init__(self, data: bytes | None, acl: Acls, owner: int, zxid: int, time: int) -> None:
        self.data = data
        self.acl = acl
        self.owner = owner
        self.czxid = self.mzxid = self.pzxid = zxid
        self.ctime = self.mtime = time
        self.version = self.creates = self.aversion = 0
        self.children: dict[str, None] | None = None

    @property
    def is_ephemeral(self) -> bool:
        """Whether a session owns it."""
        return is_session(self.owner)

    @property
    def ttl(self) -> int:
        """Milliseconds, 0 if it has none."""
        unsigned = self.owner & 0xFFFFFFFFFFFFFFFF
        if unsigned & TTL_MASK != TTL_MASK:
            return 0
        return unsigned & MAX_TTL

    def stat_bytes(self) -> bytes:
        """The 68 bytes of its stat. Shown cversion is creates plus deletes; marks of containers and TTLs show as 0."""
        children = len(self.children) if self.children else 0
        return _STAT.pack(
            self.czxid,
            self.mzxid,
            self.ctime,
            self.mtime,
            self.version,
            2 * self.creates - children,
            self.aversion,
            self.owner if self.owner >= 0 or is_session(self.owner) else 0,
            len(self.data) if self.data else 0,
            children,
            self.pzxid,
        )

    def stat(self) -> Stat:
        return Stat(*_STAT.unpack(self.stat_bytes()))


class Tree:
    """All nodes by path, and the sessions that the log knows (id -> timeout in ms)."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {"/": Node(b"", OPEN_ACL, 0, 0, 0)}
        self.sessions: dict[int, int] = {}
        self.ephemerals: dict[int, dict[str, None]] = {}
        self.containers: dict[str, None] = {}
        self.ttls: dict[str, None] = {}
        self.last_zxid = 0
        self.data_bytes = 0
        self.quotas = Quotas(self.nodes)
        for path in ("/zookeeper", QUOTA, CONFIG):
            self.nodes[path] = Node(b"", OPEN_ACL, 0, 0, 0)
            self._adopt(path)
        self.nodes[CONFIG].acl, self.nodes[CONFIG].aversion = (Acl(1, "world", "anyone"),), -1

    def apply(self, header: TxnHeader, txn: Txn) -> list[Change]:
        """Perform a transaction and return its changes in the order in which watchers hear of them."""
        changes: list[Change] = []
        if isinstance(txn, MultiTxn):
            if all(kind != OpCode.ERROR for kind, _ in txn.txns):
                for _, part in txn.txns:
                    self.perform(header, part, changes)
        else:
            self.perform(header, txn, changes)
        self.last_zxid = max(self.last_zxid, header.zxid)
        return changes

    def perform(self, header: TxnHeader, txn: Txn, changes: list[Change]) -> Undo | None:
        """One operation. The result undoes it (for a multi whose later operation is refused); None: nothing to undo."""
        if isinstance(txn, CreateTxn | CreateTtlTxn | CreateContainerTxn):
            return self._create(header, txn, changes)
        if isinstance(txn, DeleteTxn):
            return self._delete(txn.path, header.zxid, changes)
        if isinstance(txn, SetDataTxn):
            return self._set_data(header, txn, changes)
        if isinstance(txn, SetAclTxn):
            self._set_acl(txn)
        elif isinstance(txn, CreateSessionTxn):
            self.sessions[header.session_id] = txn.timeout_ms
        elif isinstance(txn, CloseSessionTxn):
            self._close_session(header, txn, changes)
        return None

    def install(self, path: str, node: Node) -> None:
        """Put a node that a snapshot holds into place. Raises KeyError where its parent is missing."""
        known = self.nodes.get(path)
        if known is not None:
            node.children = known.children
            self.data_bytes -= len(known.data or b"")
        self.nodes[path] = node
        self.data_bytes += len(node.data or b"")
        if path != "/":
            self._adopt(path)
            self._track(path, node.owner)

    def ephemerals_of(self, session_id: int) -> tuple[str, ...]:
        return tuple(self.ephemerals.get(session_id, ()))

    def descendants(self, path: str) -> int:
        """How many nodes there are below ``path``."""
        prefix = "/" if path == "/" else path + "/"
        return sum(1 for other in self.nodes if other.startswith(prefix)) - (path == "/")

    def overdue(self, wall_ms: int) -> list[str]:
        """Containers whose last child is gone, and childless nodes whose TTL has passed (ContainerManager)."""
        found: list[str] = []
        for path in self.containers:
            node = self.nodes[path]
            if node.creates > 0 and not node.children:
                found.append(path)
        for path in self.ttls:
            node = self.nodes[path]
            if not node.children and wall_ms - node.mtime > node.ttl:
                found.append(path)
        return found

    def _adopt(self, path: str) -> None:
        parent = self.nodes[parent_of(path)]
        if parent.children is None:
            parent.children = {}
        parent.children[name_of(path)] = None

    def _track(self, path: str, owner: int) -> None:
        if is_session(owner):
            self.ephemerals.setdefault(owner, {})[path] = None
        elif owner == CONTAINER_OWNER:
            self.containers[path] = None
        elif owner:
            self.ttls[path] = None

    def _untrack(self, path: str, owner: int) -> None:
        if is_session(owner):
            owned = self.ephemerals.get(owner)
            if owned is not None:
                owned.pop(path, None)
                if not owned:
                    del self.ephemerals[owner]
        elif owner:
            self.containers.pop(path, None)
            self.ttls.pop(path, None)

    def _create(self, header: TxnHeader, txn: Create, changes: list[Change]) -> Undo | None:
        path = txn.path
        parent_path = parent_of(path)
        parent = self.nodes.get(parent_path)
        if parent is None:
            return None
        before = (parent.creates, parent.pzxid)
        creates = parent.creates + 1 if txn.parent_cversion == -1 else txn.parent_cversion
        if creates > parent.creates:
            parent.creates, parent.pzxid = creates, header.zxid
        if path in self.nodes:
            return None
        node = Node(txn.data, txn.acl or OPEN_ACL, _owner(header, txn), header.zxid, header.time)
        self.nodes[path] = node
        self.data_bytes += len(txn.data or b"")
        self._adopt(path)
        self._track(path, node.owner)
        self.quotas.created(path, node)
        changes.append(Change(CREATED, path, node.acl))
        changes.append(Change(CHILDREN_CHANGED, parent_path, parent.acl))

        def undo() -> None:
            self._remove(path, node)
            parent.creates, parent.pzxid = before

        return undo

    def _remove(self, path: str, node: Node) -> None:
        del self.nodes[path]
        self.data_bytes -= len(node.data or b"")
        parent = self.nodes[parent_of(path)]
        if parent.children is not None:
            parent.children.pop(name_of(path), None)
        self._untrack(path, node.owner)
        self.quotas.deleted(path, node)

    def _delete(self, path: str, zxid: int, changes: list[Change]) -> Undo | None:
        node = self.nodes.get(path)
        if node is None or path == "/":
            return None
        parent_path = parent_of(path)
        parent = self.nodes[parent_path]
        before = parent.pzxid
        self._remove(path, node)
        parent.pzxid = max(parent.pzxid, zxid)
        changes.append(Change(DELETED, path, node.acl))
        changes.append(Change(CHILDREN_CHANGED, parent_path, parent.acl))

        def undo() -> None:
            self.install(path, node)
            parent.pzxid = before
            self.quotas.created(path, node)

        return undo

    def _set_data(self, header: TxnHeader, txn: SetDataTxn, changes: list[Change]) -> Undo | None:
        node = self.nodes.get(txn.path)
        if node is None:
            return None
        before = (node.data, node.version, node.mzxid, node.mtime)
        self._replace(txn.path, node, txn.data, txn.version, header.zxid, header.time)
        changes.append(Change(DATA_CHANGED, txn.path, node.acl))
        return lambda: self._replace(txn.path, node, *before)

    def _replace(self, path: str, node: Node, data: bytes | None, version: int, zxid: int, time: int) -> None:
        growth = len(data or b"") - len(node.data or b"")
        node.data, node.version, node.mzxid, node.mtime = data, version, zxid, time
        self.data_bytes += growth
        self.quotas.changed(path, growth)

    def _set_acl(self, txn: SetAclTxn) -> None:
        node = self.nodes.get(txn.path)
        if node is not None:
            node.acl, node.aversion = txn.acl or OPEN_ACL, txn.version

    def _close_session(self, header: TxnHeader, txn: CloseSessionTxn, changes: list[Change]) -> None:
        self.sessions.pop(header.session_id, None)
        owned = self.ephemerals_of(header.session_id)
        for path in owned if txn.paths is None else txn.paths:
            node = self.nodes.get(path)
            if node is not None and node.owner == header.session_id:
                self._delete(path, header.zxid, changes)


def _owner(header: TxnHeader, txn: Create) -> int:
    if isinstance(txn, CreateTtlTxn):
        return (TTL_MASK | txn.ttl) - (1 << 64)
    if isinstance(txn, CreateContainerTxn):
        return CONTAINER_OWNER
    return header.session_id if txn.ephemeral else 0
