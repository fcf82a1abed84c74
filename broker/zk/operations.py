"""What the broker asks of ZooKeeper, and what comes back, as plain values (kafka.zookeeper.AsyncRequest/AsyncResponse).

Pure: no asyncio. Controller transitions yield these; :class:`broker.zk.client.ZooKeeperClient` performs them.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import NamedTuple

from broker.zookeeper import messages
from broker.zookeeper.messages import Code

ZkCode = Code
Acl = messages.Acl
Stat = messages.Stat


def code_of(number: int) -> ZkCode:
    """The code for a number from the wire; API_ERROR for one that only a newer server knows."""
    try:
        return ZkCode(number)
    except ValueError:
        return ZkCode.API_ERROR


class CreateMode(IntFlag):
    """The flags of a create, as they go over the wire."""

    PERSISTENT = 0
    EPHEMERAL = 1
    SEQUENTIAL = 2


class WatchKind(IntEnum):
    """What an event says about its path (Watcher.Event.EventType)."""

    CREATED = 1
    DELETED = 2
    DATA_CHANGED = 3
    CHILDREN_CHANGED = 4


OPEN_ACL: tuple[Acl, ...] = messages.OPEN_ACL
WORLD_READ = Acl(1, "world", "anyone")
CREATOR_ALL = Acl(31, "auth", "")

ANY_VERSION = -1


class Create(NamedTuple):
    """``acl`` None: what ``zookeeper.set.acl`` asks for at that path. Sequential: the name is in ``Result.path``."""

    path: str
    data: bytes | None = None
    mode: CreateMode = CreateMode.PERSISTENT
    acl: tuple[Acl, ...] | None = None


class Delete(NamedTuple):
    path: str
    version: int = ANY_VERSION


class SetData(NamedTuple):
    path: str
    data: bytes | None
    version: int = ANY_VERSION


class Check(NamedTuple):
    """Only inside a :class:`Multi`: a bare check kills a ZooKeeper 3.8.0 (ZOOKEEPER-2623)."""

    path: str
    version: int


class GetData(NamedTuple):
    path: str
    watch: bool = False


class GetChildren(NamedTuple):
    """Children and stat (getChildren2). Children come back sorted."""

    path: str
    watch: bool = False


class Exists(NamedTuple):
    """Stat, or NO_NODE; a watch is set in both cases."""

    path: str
    watch: bool = False


class Multi(NamedTuple):
    """All of ``ops`` or none of them, in one transaction."""

    ops: tuple[Write, ...]


class Sync(NamedTuple):
    path: str


Write = Create | Delete | SetData | Check
Read = GetData | GetChildren | Exists
Operation = Create | Delete | SetData | GetData | GetChildren | Exists | Multi | Sync


class Result(NamedTuple):
    """The answer to one operation.

    ``code`` of a multi is the code of the operation that failed it (``results[failed].code``); ``results`` has one
    entry per operation: the failing one its code, those before it OK and those after it RUNTIME_INCONSISTENCY.
    ``path`` is the created path (with its sequence number), else the path that was asked. ``retried``: it was sent more
    than once, so NODE_EXISTS, NO_NODE or BAD_VERSION may be the work of the first attempt.
    """

    code: ZkCode
    path: str = ""
    data: bytes | None = None
    stat: Stat | None = None
    children: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    retried: bool = False

    @property
    def ok(self) -> bool:
        return self.code == ZkCode.OK

    @property
    def version(self) -> int:
        """The data version in the stat (dataVersion, zkVersion, partition epoch). Raises ValueError without a stat."""
        if self.stat is None:
            raise ValueError(f"no stat in the answer for {self.path}: {self.code.name}")
        return self.stat.version

    @property
    def failed(self) -> int:
        """Index of the operation that failed a multi, -1 if it succeeded."""
        for index, result in enumerate(self.results):
            if result.code not in (ZkCode.OK, ZkCode.RUNTIME_INCONSISTENCY):
                return index
        return -1

    def or_raise(self) -> Result:
        """Itself if OK; else raises the :class:`ZkError` for its code."""
        if self.code == ZkCode.OK:
            return self
        raise ZkError.of(self.code, self.path)


class ZkError(Exception):
    """An operation that ZooKeeper refused, or that could not be performed."""

    def __init__(self, code: ZkCode, path: str = "", message: str | None = None) -> None:
        super().__init__(message or (f"{code.name} for {path}" if path else code.name))
        self.code = code
        self.path = path

    @staticmethod
    def of(code: ZkCode, path: str = "") -> ZkError:
        return _ERRORS.get(code, ZkError)(code, path)


class NoNode(ZkError):
    """The path, or on create its parent, is not there."""


class NodeExists(ZkError):
    """Also what the retry of a create sees whose first reply was lost: check whether it was me."""


class BadVersion(ZkError):
    """Also what the retry of a conditional write sees whose first reply was lost: check whether it was me."""


class NotEmpty(ZkError):
    """A node with children cannot be deleted."""


class ConnectionLost(ZkError):
    """The deadline passed while ZooKeeper was away. Whether the operation was performed is not known."""


class SessionExpired(ZkError):
    """The session is over; ephemerals and watches are gone. A new session is being made; nothing was retried on it."""


class AuthFailed(ZkError):
    """ZooKeeper refused our credentials; no retry helps."""


_ERRORS: dict[ZkCode, type[ZkError]] = {
    ZkCode.NO_NODE: NoNode,
    ZkCode.NODE_EXISTS: NodeExists,
    ZkCode.BAD_VERSION: BadVersion,
    ZkCode.NOT_EMPTY: NotEmpty,
    ZkCode.CONNECTION_LOSS: ConnectionLost,
    ZkCode.OPERATION_TIMEOUT: ConnectionLost,
    ZkCode.SESSION_EXPIRED: SessionExpired,
    ZkCode.UNKNOWN_SESSION: SessionExpired,
    ZkCode.AUTH_FAILED: AuthFailed,
}
