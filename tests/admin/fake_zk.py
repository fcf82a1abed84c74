"""A ZooKeeper of a dict, for tests of validation: enough of create, setData, check and reads, no sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from broker.zk.operations import (
    Check,
    Create,
    CreateMode,
    Delete,
    Exists,
    GetChildren,
    Multi,
    Operation,
    Result,
    SetData,
    Stat,
    ZkCode,
)


class FakeZk:
    """``nodes``: path -> (data, version). ``away``: requests wait for ever. ``lose_next``: answers of retries."""

    def __init__(self) -> None:
        self.nodes: dict[str, tuple[bytes | None, int]] = {}
        self.writes: list[str] = []
        self.connected = True
        self.lose_answer_to: str | None = None
        self.sequence = 0

    async def request(self, ops: Sequence[Operation], timeout: float | None = None) -> list[Result]:
        if not self.connected:
            await asyncio.Event().wait()
        return [self._twice(op) for op in ops]

    def _twice(self, op: Operation) -> Result:
        """As if the connection had gone after the server did its work, where a test asks for that."""
        writes = op.ops if isinstance(op, Multi) else (op,)
        if any(each.path == self.lose_answer_to and isinstance(each, (Create, SetData)) for each in writes):
            self.lose_answer_to = None
            self._perform(op)
            return self._perform(op)._replace(retried=True)
        return self._perform(op)

    def _perform(self, op: Operation) -> Result:
        if isinstance(op, Multi):
            for index, part in enumerate(op.ops):
                code = self._refusal(part)
                if code != ZkCode.OK:
                    results = [Result(ZkCode.OK)] * index + [Result(code, part.path)]
                    return Result(code, part.path, results=tuple(results))
            return Result(ZkCode.OK, results=tuple(self._perform(part) for part in op.ops))
        code = self._refusal(op)
        return self._apply(op) if code == ZkCode.OK else Result(code, op.path)

    def _refusal(self, op: Operation) -> ZkCode:
        assert not isinstance(op, Multi)
        path = op.path
        if isinstance(op, Create):
            parent = path.rpartition("/")[0]
            if parent and parent not in self.nodes:
                return ZkCode.NO_NODE
            taken = path in self.nodes and not op.mode & CreateMode.SEQUENTIAL
            return ZkCode.NODE_EXISTS if taken else ZkCode.OK
        if isinstance(op, GetChildren) or path in self.nodes:
            if isinstance(op, (SetData, Check, Delete)) and op.version not in (-1, self.nodes[path][1]):
                return ZkCode.BAD_VERSION
            return ZkCode.OK
        return ZkCode.NO_NODE

    def _apply(self, op: Operation) -> Result:
        assert not isinstance(op, Multi)
        path = op.path
        if isinstance(op, Create):
            if op.mode & CreateMode.SEQUENTIAL:
                path = f"{path}{self.sequence:010}"
                self.sequence += 1
            self.nodes[path] = (op.data, 0)
            self.writes.append(f"create {path}")
        elif isinstance(op, SetData):
            self.nodes[path] = (op.data, self.nodes[path][1] + 1)
            self.writes.append(f"set {path}")
        elif isinstance(op, GetChildren):
            names = {each[len(path) + 1 :] for each in self.nodes if each.rpartition("/")[0] == path}
            return Result(ZkCode.OK, path, children=tuple(sorted(names)))
        if isinstance(op, Delete):
            del self.nodes[path]
            return Result(ZkCode.OK, path)
        data, version = self.nodes[path]
        stat = Stat(0, 0, 0, 0, version, 0, 0, 0, 0, 0, 0)
        return Result(ZkCode.OK, path, data, None if isinstance(op, Exists) else stat)

    def make(self, *paths: str) -> None:
        """Nodes with their parents."""
        for path in paths:
            parts = path.split("/")
            for depth in range(2, len(parts) + 1):
                self.nodes.setdefault("/".join(parts[:depth]), (None, 0))
