"""Operations as ZooKeeper's messages, replies as results; adds and removes the chroot (zookeeper.ZooKeeper)."""

from __future__ import annotations

from broker.zk.operations import (
    Create,
    Delete,
    Exists,
    GetChildren,
    GetData,
    Multi,
    Operation,
    Result,
    SetData,
    Sync,
    Write,
    ZkCode,
    code_of,
)
from broker.zk.znodes import acl_for
from broker.zookeeper.jute import Reader
from broker.zookeeper.messages import (
    Children2Reply,
    Create2Reply,
    CreateRequest,
    DataReply,
    ErrorResult,
    MultiReply,
    MultiRequest,
    OpCode,
    PathOnly,
    PathReply,
    PathVersion,
    PathWatch,
    Record,
    SetDataRequest,
    StatReply,
    decode_reply,
)


class Requests:
    """Encodes and decodes for one chroot ("" or "/kafka") and one rule for access lists (zookeeper.set.acl)."""

    def __init__(self, chroot: str, secure: bool) -> None:
        self._chroot = chroot
        self._secure = secure

    def full(self, path: str) -> str:
        """The path as the server knows it."""
        if not self._chroot:
            return path
        return self._chroot if path == "/" else self._chroot + path

    def own(self, path: str) -> str:
        """The path as the broker knows it."""
        return path[len(self._chroot) :] or "/" if self._chroot else path

    def encode(self, op: Operation) -> tuple[OpCode, Record]:
        """Opcode and body."""
        match op:
            case GetData():
                return OpCode.GET_DATA, PathWatch(self.full(op.path), op.watch)
            case Exists():
                return OpCode.EXISTS, PathWatch(self.full(op.path), op.watch)
            case GetChildren():
                return OpCode.GET_CHILDREN2, PathWatch(self.full(op.path), op.watch)
            case Sync():
                return OpCode.SYNC, PathOnly(self.full(op.path))
            case Multi():
                return OpCode.MULTI, MultiRequest(tuple(self._write(part) for part in op.ops))
            case _:
                return self._write(op)

    def _write(self, op: Write) -> tuple[OpCode, Record]:
        path = self.full(op.path)
        match op:
            case Create():
                acl = op.acl if op.acl is not None else acl_for(op.path, self._secure)
                return OpCode.CREATE, CreateRequest(path, op.data, acl, op.mode)
            case SetData():
                return OpCode.SET_DATA, SetDataRequest(path, op.data, op.version)
            case Delete():
                return OpCode.DELETE, PathVersion(path, op.version)
            case _:
                return OpCode.CHECK, PathVersion(path, op.version)

    def decode(self, op: Operation, opcode: int, error: int, reader: Reader) -> Result:
        """The result of ``op``; ``reader`` stands behind the reply's header. Raises JuteError."""
        asked = "" if isinstance(op, Multi) else op.path
        if error:
            return Result(code_of(error), asked)
        reply = decode_reply(opcode, reader)
        if isinstance(op, Multi) and isinstance(reply, MultiReply):
            return self._multi(op, reply)
        return self._result(asked, reply)

    def _result(self, asked: str, reply: Record) -> Result:
        match reply:
            case DataReply(data, stat):
                return Result(ZkCode.OK, asked, data, stat)
            case StatReply(stat):
                return Result(ZkCode.OK, asked, stat=stat)
            case Children2Reply(children, stat):
                return Result(ZkCode.OK, asked, stat=stat, children=tuple(sorted(children)))
            case Create2Reply(path, stat):
                return Result(ZkCode.OK, self.own(path), stat=stat)
            case PathReply(path):
                return Result(ZkCode.OK, self.own(path))
            case ErrorResult(error):
                return Result(code_of(error), asked)
            case _:
                return Result(ZkCode.OK, asked)

    def _multi(self, multi: Multi, reply: MultiReply) -> Result:
        results = tuple(self._result(op.path, part) for op, (_, part) in zip(multi.ops, reply.results, strict=False))
        outcome = Result(ZkCode.OK, results=results)
        failed = outcome.failed
        return outcome if failed < 0 else outcome._replace(code=results[failed].code, path=results[failed].path)
