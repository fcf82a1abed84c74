"""Quotas: limits and counts kept in ``/zookeeper/quota<path>/zookeeper_limits`` and ``zookeeper_stats`` (StatsTrack).

The text of both is ``count=N,bytes=N``, in the limits with ``;byteHardLimit=N;countHardLimit=N``; -1 is no limit. Only
the nearest quota above a path counts. Soft limits are only logged by ZooKeeper; hard ones refuse where
``enforceQuota=true``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from broker.zookeeper.paths import QUOTA

if TYPE_CHECKING:
    from broker.zookeeper.tree import Node

LIMITS = "/zookeeper_limits"
STATS = "/zookeeper_stats"


def parse(data: bytes | None) -> dict[str, int]:
    """The numbers of a limits or stats node; a part that is no ``name=number`` is left out."""
    found: dict[str, int] = {}
    for part in (data or b"").decode("utf-8", "replace").replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        try:
            found[name] = int(value)
        except ValueError:
            continue
    return found


class Quotas:
    """Which paths have a quota, and the counts below them, kept in the stats nodes' own data."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes
        self._limited: dict[str, None] = {}

    def rebuild(self) -> None:
        """After a snapshot was loaded: find the limits, count what is below them."""
        self._limited = {}
        for path in list(self._nodes):
            if path.startswith(QUOTA) and path.endswith(LIMITS):
                self._limited[path[len(QUOTA) : -len(LIMITS)]] = None
        for root in self._limited:
            self._count(root)

    def created(self, path: str, node: Node) -> None:
        if path.startswith(QUOTA):
            if path.endswith(LIMITS):
                self._limited[path[len(QUOTA) : -len(LIMITS)]] = None
            elif path.endswith(STATS):
                self._count(path[len(QUOTA) : -len(STATS)])
        elif self._limited:
            self._add(path, 1, len(node.data or b""))

    def deleted(self, path: str, node: Node) -> None:
        if path.startswith(QUOTA):
            if path.endswith(LIMITS):
                self._limited.pop(path[len(QUOTA) : -len(LIMITS)], None)
        elif self._limited:
            self._add(path, -1, -len(node.data or b""))

    def changed(self, path: str, growth: int) -> None:
        if self._limited and growth and not path.startswith(QUOTA):
            self._add(path, 0, growth)

    def exceeded(self, path: str, count: int, size: int) -> bool:
        """Whether ``count`` more nodes and ``size`` more bytes at ``path`` would break a hard limit."""
        root = self.root_of(path)
        if root is None or path.startswith("/zookeeper"):
            return False
        limits_node, stats_node = self._nodes.get(QUOTA + root + LIMITS), self._nodes.get(QUOTA + root + STATS)
        if limits_node is None or stats_node is None:
            return False
        limits, stats = parse(limits_node.data), parse(stats_node.data)
        most_nodes, most_bytes = limits.get("countHardLimit", -1), limits.get("byteHardLimit", -1)
        if count > 0 and -1 < most_nodes < stats.get("count", 0) + count:
            return True
        return size > 0 and -1 < most_bytes < stats.get("bytes", 0) + size

    def root_of(self, path: str) -> str | None:
        """The nearest path at or above ``path`` that has a quota."""
        if not self._limited:
            return None
        while path and path not in self._limited:
            path = path[: path.rfind("/")] if "/" in path else ""
        return path or None

    def _add(self, path: str, count: int, size: int) -> None:
        root = self.root_of(path)
        node = None if root is None else self._nodes.get(QUOTA + root + STATS)
        if node is not None:
            stats = parse(node.data)
            self._write(node, stats.get("count", 0) + count, stats.get("bytes", 0) + size)

    def _count(self, root: str) -> None:
        stats = self._nodes.get(QUOTA + root + STATS)
        if stats is None:
            return
        count = size = 0
        for path, node in self._nodes.items():
            if path == root or path.startswith(root + "/"):
                count += 1
                size += len(node.data or b"")
        self._write(stats, count, size)

    @staticmethod
    def _write(node: Node, count: int, size: int) -> None:
        node.data = b"count=%d,bytes=%d" % (count, size)
