"""Who waits for which change (WatchManager, WatcherMode): one-shot, persistent and persistent-recursive watches.

A machine. A watcher is any hashable object (the server's connections). Two tables, data and children, by path; a
watcher may hold several kinds on one path and still hears one event per change.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from broker.zookeeper.messages import Code
from broker.zookeeper.paths import parent_of
from broker.zookeeper.tree import CHILDREN_CHANGED, CREATED, DATA_CHANGED, DELETED, Change, Tree

W = TypeVar("W", bound=Hashable)

STANDARD, PERSISTENT, RECURSIVE = 1, 2, 4
_ANY = STANDARD | PERSISTENT | RECURSIVE
ADD_PERSISTENT, ADD_RECURSIVE = 0, 1
CHILDREN, DATA, ANY = 1, 2, 3
"""The watcher types of checkWatches and removeWatches."""


class _Table(Generic[W]):
    """path -> watcher -> kinds (bits)."""

    def __init__(self) -> None:
        self.by_path: dict[str, dict[W, int]] = {}
        self.paths: dict[W, dict[str, None]] = {}
        self.recursive = 0

    def add(self, path: str, watcher: W, kind: int) -> None:
        watchers = self.by_path.setdefault(path, {})
        known = watchers.get(watcher, 0)
        if kind == RECURSIVE and not known & RECURSIVE:
            self.recursive += 1
        watchers[watcher] = known | kind
        self.paths.setdefault(watcher, {})[path] = None

    def remove(self, path: str, watcher: W, kinds: int = _ANY) -> bool:
        """Whether one of ``kinds`` was there."""
        watchers = self.by_path.get(path)
        known = 0 if watchers is None else watchers.get(watcher, 0)
        if watchers is None or not known & kinds:
            return False
        if known & kinds & RECURSIVE:
            self.recursive -= 1
        left = known & ~kinds
        if left:
            watchers[watcher] = left
            return True
        del watchers[watcher]
        if not watchers:
            del self.by_path[path]
        held = self.paths[watcher]
        del held[path]
        if not held:
            del self.paths[watcher]
        return True

    def kinds(self, path: str, watcher: W) -> int:
        return self.by_path.get(path, {}).get(watcher, 0)

    def forget(self, watcher: W) -> None:
        for path in list(self.paths.get(watcher, ())):
            self.remove(path, watcher)

    def fire(self, path: str, *, recursive: bool) -> list[W]:
        """Those who hear of a change at ``path``; one-shot watches are gone with it."""
        heard: dict[W, None] = {}
        for watcher, kinds in list(self.by_path.get(path, {}).items()):
            if kinds & (STANDARD | PERSISTENT) or recursive:
                heard[watcher] = None
            if kinds & STANDARD:
                self.remove(path, watcher, STANDARD)
        if recursive and self.recursive:
            above = path
            while above != "/":
                above = parent_of(above)
                for watcher, kinds in self.by_path.get(above, {}).items():
                    if kinds & RECURSIVE:
                        heard[watcher] = None
        return list(heard)


class Watches(Generic[W]):
    """All watches of a server."""

    def __init__(self) -> None:
        self.data: _Table[W] = _Table()
        self.child: _Table[W] = _Table()

    def add(self, path: str, watcher: W, mode: int) -> Code:
        """addWatch. MARSHALLING_ERROR for another mode than 0 and 1, as ZooKeeper answers."""
        if mode == ADD_PERSISTENT:
            self.data.add(path, watcher, PERSISTENT)
            self.child.add(path, watcher, PERSISTENT)
        elif mode == ADD_RECURSIVE:
            self.data.add(path, watcher, RECURSIVE)
        else:
            return Code.MARSHALLING_ERROR
        return Code.OK

    def check(self, path: str, watcher: W, kind: int, *, remove: bool) -> Code:
        """checkWatches and removeWatches: NO_WATCHER where there is none of ``kind``."""
        tables = {
            CHILDREN: ((self.child, _ANY), (self.data, RECURSIVE)),
            DATA: ((self.data, _ANY),),
            ANY: ((self.child, _ANY), (self.data, _ANY)),
        }.get(kind)
        if tables is None:
            return Code.MARSHALLING_ERROR
        found = False
        for table, kinds in tables:
            if table.kinds(path, watcher) & kinds:
                found = True
                if remove:
                    table.remove(path, watcher, kinds)
        return Code.OK if found else Code.NO_WATCHER

    def forget(self, watcher: W) -> None:
        """Its connection is gone."""
        self.data.forget(watcher)
        self.child.forget(watcher)

    def fire(self, change: Change) -> list[W]:
        """Who hears of ``change``. A deletion is told once to who watches both data and children."""
        if change.type == CHILDREN_CHANGED:
            return self.child.fire(change.path, recursive=False)
        heard = self.data.fire(change.path, recursive=True)
        if change.type == DELETED:
            known = dict.fromkeys(heard)
            heard += [watcher for watcher in self.child.fire(change.path, recursive=False) if watcher not in known]
        return heard

    def restore(
        self,
        tree: Tree,
        watcher: W,
        relative_zxid: int,
        lists: tuple[Iterable[str], Iterable[str], Iterable[str], Iterable[str], Iterable[str]],
        tell: Callable[[int, str], object],
    ) -> None:
        """setWatches after a reconnect: ``tell(type, path)`` what was missed since ``relative_zxid``, watch the rest.

        ``lists``: data, exist, child, persistent, recursive.
        """
        data, exist, child, persistent, recursive = lists
        nodes = tree.nodes
        for path in data:
            node = nodes.get(path or "/")
            if node is None:
                tell(DELETED, path)
            elif node.mzxid > relative_zxid:
                tell(DATA_CHANGED, path)
            else:
                self.data.add(path, watcher, STANDARD)
        for path in exist:
            if path in nodes:
                tell(CREATED, path)
            else:
                self.data.add(path, watcher, STANDARD)
        for path in child:
            node = nodes.get(path or "/")
            if node is None:
                tell(DELETED, path)
            elif node.pzxid > relative_zxid:
                tell(CHILDREN_CHANGED, path)
            else:
                self.child.add(path, watcher, STANDARD)
        for path in persistent:
            self.add(path, watcher, ADD_PERSISTENT)
        for path in recursive:
            self.add(path, watcher, ADD_RECURSIVE)

    def count(self) -> int:
        return sum(len(held) for table in (self.data, self.child) for held in table.by_path.values())
