"""What each request does: handshake, reads, writes, watches (ZooKeeperServer.processPacket, FinalRequestProcessor).

Everything is synchronous: a write is applied and queued for the journal, its events and its reply are queued on their
connections behind the journal's sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from broker.zookeeper import acl
from broker.zookeeper.jute import JuteError, Reader
from broker.zookeeper.messages import (
    REQUESTS,
    STATE_SYNC_CONNECTED,
    AuthRequest,
    ChildrenReply,
    Code,
    ConnectRequest,
    ConnectResponse,
    IntReply,
    MultiRequest,
    OpCode,
    PathMode,
    PathOnly,
    PathReply,
    PathWatch,
    Record,
    SaslMessage,
    SetWatchesRequest,
    WatcherEvent,
    WhoAmIReply,
    decode_request,
    encode_event,
    encode_reply,
    frame,
)
from broker.zookeeper.paths import is_valid
from broker.zookeeper.processor import Outcome, Refused
from broker.zookeeper.watches import STANDARD

if TYPE_CHECKING:
    from broker.zookeeper.connection import Connection
    from broker.zookeeper.server import ZooKeeperServer

_WRITES = frozenset(
    (
        OpCode.CREATE,
        OpCode.CREATE2,
        OpCode.CREATE_CONTAINER,
        OpCode.CREATE_TTL,
        OpCode.DELETE,
        OpCode.SET_DATA,
        OpCode.SET_ACL,
        OpCode.MULTI,
    )
)
_REFUSED = frozenset((OpCode.CHECK, OpCode.DELETE_CONTAINER, OpCode.CREATE_SESSION))
"""Operations that exist, but not for clients by themselves."""

_NAMES = {int(op): op.name for op in OpCode}
_PING = int(OpCode.PING)

Read = Callable[["Connection", Record], bytes]


class Dispatch:
    """Answers the packets of all connections."""

    def __init__(self, server: ZooKeeperServer) -> None:
        self.server = server
        self.processor = server.processor
        self.watches = server.watches
        self._reads: dict[int, Read] = {
            OpCode.EXISTS: self._exists,
            OpCode.GET_DATA: self._get_data,
            OpCode.GET_CHILDREN: self._get_children,
            OpCode.GET_CHILDREN2: self._get_children,
            OpCode.GET_ACL: self._get_acl,
            OpCode.SYNC: lambda connection, request: PathReply(cast("PathOnly", request).path).encode(),
            OpCode.MULTI_READ: self._multi_read,
            OpCode.CHECK_WATCHES: self._check_watches,
            OpCode.REMOVE_WATCHES: self._remove_watches,
            OpCode.ADD_WATCH: self._add_watch,
            OpCode.SET_WATCHES: self._set_watches,
            OpCode.SET_WATCHES2: self._set_watches,
            OpCode.SASL: lambda connection, request: SaslMessage(None).encode(),
            OpCode.GET_EPHEMERALS: self._get_ephemerals,
            OpCode.GET_ALL_CHILDREN_NUMBER: self._get_all_children_number,
            OpCode.WHO_AM_I: self._who_am_i,
        }
        self._get_children1 = int(OpCode.GET_CHILDREN)

    # --- sessions ---

    def connect(self, connection: Connection, reader: Reader) -> None:
        """The handshake: a new session, a session that comes back, or a refusal."""
        server = self.server
        request = ConnectRequest.decode(reader)
        if request.last_zxid_seen > server.tree.last_zxid:
            server.log.warning(
                "session of %s refused: it has seen zxid 0x%x, ours is 0x%x",
                connection.host,
                request.last_zxid_seen,
                server.tree.last_zxid,
            )
            connection.close()
            return
        if not server.has_room(connection):
            connection.close()
            return
        timeout_ms = server.sessions.negotiate(request.timeout_ms)
        read_only = None if request.read_only is None else False
        if request.session_id == 0:
            session_id = server.sessions.next_id(server.clock.wall_ms())
            goal = self.commit(self.processor.create_session(session_id, timeout_ms, server.clock.wall_ms()))
        else:
            session_id = request.session_id
            known = server.sessions.get(session_id)
            if known is None or not server.sessions.is_password(session_id, request.password):
                connection.send(frame(ConnectResponse(0, 0, 0, bytes(16), read_only).encode()), 0)
                connection.close()
                return
            goal = server.journal.appended
            server.take_over(session_id)
        session = server.sessions.open(session_id, timeout_ms, server.clock.monotonic())
        server.attach(connection, session)
        password = server.sessions.password(session_id)
        connection.send(frame(ConnectResponse(0, timeout_ms, session_id, password, read_only).encode()), goal)

    def close_session(self, session_id: int, cxid: int = 0) -> int:
        """Delete its ephemerals and forget it; the sequence after which it is durable."""
        server = self.server
        server.sessions.close(session_id)
        return self.commit(self.processor.close_session(session_id, cxid, server.clock.wall_ms()))

    def commit(self, outcome: Outcome) -> int:
        """Hand a transaction to the journal and its changes to the watchers; the sequence to wait for."""
        server = self.server
        goal = server.record(outcome.header.zxid, outcome.header.encode() + outcome.txn.encode())
        for change in outcome.changes:
            watchers = self.watches.fire(change)
            if watchers:
                event = encode_event(WatcherEvent(change.type, STATE_SYNC_CONNECTED, change.path))
                for watcher in watchers:
                    if acl.allows(change.acl, acl.READ, watcher.identities):
                        watcher.send(event, goal)
        return goal

    # --- requests ---

    def request(self, connection: Connection, reader: Reader) -> None:
        """One packet of an established session."""
        server = self.server
        try:
            xid, opcode = reader.int32(), reader.int32()
        except JuteError:
            connection.close()
            return
        session = connection.session
        if session is None:
            return
        server.sessions.touch(session, connection.arrived)
        connection.last_op, connection.last_cxid = _NAMES.get(opcode, "UNKNOWN"), xid
        if opcode == _PING:
            self._ping(connection, xid)
        elif opcode in _WRITES:
            self._write(connection, xid, opcode, reader)
        elif opcode in self._reads:
            self._read(connection, xid, opcode, reader)
        elif opcode == OpCode.AUTH:
            self._auth(connection, xid, reader)
        elif opcode == OpCode.CLOSE_SESSION:
            goal = self.close_session(session.id, xid)
            self._answer(connection, xid, 0, b"", goal)
            connection.finish(goal)
        else:
            self._unusual(connection, xid, opcode)

    def _answer(self, connection: Connection, xid: int, err: int, body: bytes, goal: int) -> None:
        zxid = connection.last_zxid = self.server.tree.last_zxid
        connection.send(encode_reply(xid, zxid, err, body), goal, connection.arrived)

    def _ping(self, connection: Connection, xid: int) -> None:
        """At once even while a sync takes long; its zxid is then one that is durable."""
        server = self.server
        zxid = server.tree.last_zxid if connection.outstanding else server.durable_zxid
        connection.send_now(encode_reply(xid, zxid, 0))

    def _write(self, connection: Connection, xid: int, opcode: int, reader: Reader) -> None:
        session = connection.session
        if session is None:
            return
        wall_ms = self.server.clock.wall_ms()
        try:
            request = decode_request(opcode, reader)
        except JuteError:
            outcome = self.processor.refuse(session.id, xid, wall_ms, Code.MARSHALLING_ERROR)
        else:
            if isinstance(request, MultiRequest) and request.reads:
                outcome = self.processor.refuse(session.id, xid, wall_ms, Code.MARSHALLING_ERROR)
            else:
                outcome = self.processor.write(opcode, request, session.id, xid, wall_ms, connection.identities)
        goal = self.commit(outcome)
        self._answer(connection, xid, outcome.err, b"" if outcome.err else outcome.reply.encode(), goal)

    def _read(self, connection: Connection, xid: int, opcode: int, reader: Reader) -> None:
        goal = self.server.journal.appended
        try:
            request = REQUESTS[opcode](reader)
            body = self._reads[opcode](connection, request)
        except Refused as refused:
            self._answer(connection, xid, refused.code, b"", goal)
        except JuteError:
            self._answer(connection, xid, Code.MARSHALLING_ERROR, b"", goal)
        else:
            if opcode == self._get_children1:
                body = body[:-68]
            self._answer(connection, xid, 0, body, goal)

    def _unusual(self, connection: Connection, xid: int, opcode: int) -> None:
        server = self.server
        session = connection.session
        if session is not None and opcode == OpCode.RECONFIG:
            refusal = self.processor.refuse(session.id, xid, server.clock.wall_ms(), Code.RECONFIG_DISABLED)
            self._answer(connection, xid, refusal.err, b"", self.commit(refusal))
            return
        goal = server.journal.appended
        self._answer(connection, xid, Code.UNIMPLEMENTED, b"", goal)
        if opcode not in _REFUSED:
            connection.finish(goal)
            connection.release(server.journal.synced)

    def _auth(self, connection: Connection, xid: int, reader: Reader) -> None:
        try:
            request = cast("AuthRequest", decode_request(OpCode.AUTH, reader))
            proved = acl.identities_of(request.scheme, request.auth or b"", self.server.config.super_digest)
        except JuteError:
            proved = None
        if proved is None:
            connection.send_now(encode_reply(xid, 0, Code.AUTH_FAILED))
            connection.finish(self.server.journal.appended)
            connection.release(self.server.journal.synced)
            return
        connection.identities += [identity for identity in proved if identity not in connection.identities]
        connection.send_now(encode_reply(xid, 0, 0))

    # --- reads ---

    def _exists(self, connection: Connection, request: Record) -> bytes:
        path, watch = cast("PathWatch", request)
        if "\0" in path:
            raise Refused(Code.BAD_ARGUMENTS)
        if watch and is_valid(path or "/"):
            self.watches.data.add(path or "/", connection, STANDARD)
        return self.processor.stat(path)

    def _get_data(self, connection: Connection, request: Record) -> bytes:
        path, watch = cast("PathWatch", request)
        body = self.processor.data(path, connection.identities).encode()
        if watch:
            self.watches.data.add(path or "/", connection, STANDARD)
        return body

    def _get_children(self, connection: Connection, request: Record) -> bytes:
        path, watch = cast("PathWatch", request)
        body = self.processor.children(path, connection.identities).encode()
        if watch:
            self.watches.child.add(path or "/", connection, STANDARD)
        return body

    def _get_acl(self, connection: Connection, request: Record) -> bytes:
        return self.processor.acl(cast("PathOnly", request).path, connection.identities).encode()

    def _multi_read(self, connection: Connection, request: Record) -> bytes:
        reads = cast("MultiRequest", request)
        if reads.ops and not reads.reads:
            raise Refused(Code.MARSHALLING_ERROR)
        return self.processor.multi_read(reads, connection.identities).encode()

    def _check_watches(self, connection: Connection, request: Record) -> bytes:
        return self._watches(connection, cast("PathMode", request), remove=False)

    def _remove_watches(self, connection: Connection, request: Record) -> bytes:
        return self._watches(connection, cast("PathMode", request), remove=True)

    def _watches(self, connection: Connection, request: PathMode, *, remove: bool) -> bytes:
        code = self.watches.check(request.path, connection, request.mode, remove=remove)
        if code:
            raise Refused(code)
        return b""

    def _add_watch(self, connection: Connection, request: Record) -> bytes:
        path, mode = cast("PathMode", request)
        code = self.watches.add(path, connection, mode)
        if code:
            raise Refused(code)
        return IntReply(0).encode()

    def _set_watches(self, connection: Connection, request: Record) -> bytes:
        wanted = cast("SetWatchesRequest", request)
        goal = self.server.journal.appended

        def tell(kind: int, path: str) -> None:
            connection.send(encode_event(WatcherEvent(kind, STATE_SYNC_CONNECTED, path)), goal)

        lists = (wanted.data, wanted.exist, wanted.child, wanted.persistent or (), wanted.recursive or ())
        self.watches.restore(self.server.tree, connection, wanted.relative_zxid, lists, tell)
        return b""

    def _get_ephemerals(self, connection: Connection, request: Record) -> bytes:
        prefix = cast("PathOnly", request).path
        session_id = connection.session.id if connection.session else 0
        owned = self.server.tree.ephemerals_of(session_id)
        return ChildrenReply(tuple(path for path in owned if path.startswith(prefix or "/"))).encode()

    def _get_all_children_number(self, connection: Connection, request: Record) -> bytes:
        return self.processor.descendants(cast("PathOnly", request).path, connection.identities).encode()

    def _who_am_i(self, connection: Connection, request: Record) -> bytes:
        shown = [
            (scheme, user.split(":", 1)[0] if scheme == "digest" else user) for scheme, user in connection.identities
        ]
        return WhoAmIReply(tuple(shown)).encode()
