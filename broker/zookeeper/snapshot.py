"""Snapshots in ZooKeeper's own format, ``snapshot.<zxid hex>`` (FileSnap, DataTree.serialize, SnapStream).

Header (ZKSN, version 2), sessions, ACLs by number, nodes with parents first and the path "/" at the end, Adler-32. A
snapshot is taken while writes go on: it may hold changes newer than its name, which replaying the log from there on
repeats without harm. Nodes and ACLs made meanwhile are left to the log.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct, error

from broker.zookeeper.jute import JuteError, Reader, pack_buffer, pack_int, pack_string
from broker.zookeeper.messages import OPEN_ACL, Acls, pack_acls, read_acls
from broker.zookeeper.paths import parent_of
from broker.zookeeper.tree import Node, Tree

_HEADER = Struct(">iiq")
_MAGIC = int.from_bytes(b"ZKSN", "big")
_SESSION = Struct(">qi")
_NODE = Struct(">qqqqqiiiqq")
_LONG = Struct(">q")
_OPEN_ID = -1
_SLICE, _SLICE_BYTES = 200, 256 * 1024


class SnapshotDamaged(Exception):
    """The file is no whole snapshot."""


def write_slices(tree: Tree) -> Iterator[bytes]:
    """The bytes of a snapshot of ``tree``, some hundred nodes at a time; the tree may change between two slices.

    Its name is the ``last_zxid`` of the tree at the moment of the first ``next()``.
    """
    taken_at = tree.last_zxid
    ids: dict[Acls, int] = {}
    for node in tree.nodes.values():
        if node.acl not in ids:
            ids[node.acl] = len(ids) + 1
    head = [_HEADER.pack(_MAGIC, 2, -1), pack_int(len(tree.sessions))]
    head += [_SESSION.pack(session_id, timeout_ms) for session_id, timeout_ms in tree.sessions.items()]
    head.append(pack_int(len(ids)))
    head += [_LONG.pack(number) + pack_acls(acl) for acl, number in ids.items()]
    part = b"".join(head)
    checksum = zlib.adler32(part)
    yield part
    for part in _node_slices(tree, ids, taken_at):
        checksum = zlib.adler32(part, checksum)
        yield part
    end = pack_string("/")
    yield end + _LONG.pack(zlib.adler32(end, checksum)) + pack_string("/")


def _node_slices(tree: Tree, ids: dict[Acls, int], taken_at: int) -> Iterator[bytes]:
    parts: list[bytes] = []
    size = 0
    todo = ["/"]
    while todo:
        path = todo.pop()
        node = tree.nodes.get(path)
        if node is None or node.czxid > taken_at:
            continue
        if node.children:
            prefix = "/" if path == "/" else path + "/"
            todo += [prefix + name for name in node.children]
        stat = _NODE.pack(
            ids.get(node.acl, _OPEN_ID),
            node.czxid,
            node.mzxid,
            node.ctime,
            node.mtime,
            node.version,
            node.creates,
            node.aversion,
            node.owner,
            node.pzxid,
        )
        part = pack_string("" if path == "/" else path) + pack_buffer(node.data) + stat
        parts.append(part)
        size += len(part)
        if len(parts) == _SLICE or size >= _SLICE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


def load(data: bytes) -> Tree:
    """The tree in a snapshot; ``last_zxid`` is the caller's to set. Raises SnapshotDamaged."""
    try:
        return _load(data)
    except (JuteError, KeyError, error) as cause:
        raise SnapshotDamaged(f"not a whole snapshot: {cause}") from cause


def _load(data: bytes) -> Tree:
    reader = Reader(data)
    if len(data) < _HEADER.size or _HEADER.unpack_from(data)[0] != _MAGIC:
        raise SnapshotDamaged("it does not begin with ZKSN")
    reader.skip(_HEADER.size)
    tree = Tree()
    for _ in range(reader.int32()):
        session_id = reader.int64()
        tree.sessions[session_id] = reader.int32()
    acls: dict[int, Acls] = {_OPEN_ID: OPEN_ACL}
    for _ in range(reader.int32()):
        number = reader.int64()
        acls[number] = read_acls(reader) or OPEN_ACL
    _load_nodes(tree, reader, acls)
    checksum = zlib.adler32(memoryview(data)[: reader.pos])
    if reader.int64() != checksum:
        raise SnapshotDamaged("its checksum does not match")
    if reader.text() != "/":
        raise SnapshotDamaged("its end is missing")
    tree.quotas.rebuild()
    return tree


def _load_nodes(tree: Tree, reader: Reader, acls: dict[int, Acls]) -> None:
    data, size = reader.data, _NODE.size
    while (path := reader.text()) != "/":
        content = reader.buffer()
        start = reader.pos
        reader.skip(size)
        acl, czxid, mzxid, ctime, mtime, version, creates, aversion, owner, pzxid = _NODE.unpack_from(data, start)
        node = Node(content, acls.get(acl, OPEN_ACL), owner, czxid, ctime)
        node.mzxid, node.mtime, node.pzxid = mzxid, mtime, pzxid
        node.version, node.creates, node.aversion = version, creates, aversion
        if path and parent_of(path) not in tree.nodes:
            raise SnapshotDamaged(f"node {path} has no parent")
        tree.install(path or "/", node)
