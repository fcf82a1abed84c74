"""A session with ZooKeeper, as a machine (org.apache.zookeeper.ClientCnxn). No asyncio, nothing of the host.

Every method is an event: it takes ``now`` (monotonic seconds), changes the session, and returns effects in the order in
which the shell must perform them. ``wake_at`` says when :meth:`Session.tick` wants to be called next.

    state         event                          next          effects
    ------------  -----------------------------  ------------  -----------------------------------------------------
    IDLE          start, renew                   DIALING       Dial
    DIALING       connected                      HANDSHAKE     Send(ConnectRequest)
    DIALING       dial_failed, time-out          DIALING       (Drop) Dial after a pause that doubles
    HANDSHAKE     received: session granted      CONNECTED     Notify(Attached), Send(watches, then requests)
    HANDSHAKE     received: session refused      EXPIRED       Drop, Complete all SESSION_EXPIRED, Notify(Expired)
    CONNECTED     received: reply, event, pong   CONNECTED     Complete or Notify, Send(what fits into the window)
    CONNECTED     disconnected, silence, an      DIALING       Drop, Notify(Detached), Dial
                  answer out of order
    HANDSHAKE     disconnected, time-out         DIALING       Drop, Dial
    CONNECTED     close                          CLOSING       Complete what was not sent SESSION_EXPIRED, Send(close)
    CLOSING       received: answer, disconnected CLOSED        Drop
    any other     close                          CLOSED        Drop, Complete all SESSION_EXPIRED
    EXPIRED       renew                          DIALING       Dial: a new session with no watches

Why it is right. Replies come in the order of requests, so one queue of sent calls matches them; an xid that is not its
head means that the stream is lost, and the connection goes. After a loss what was sent and not answered goes to the
front of the queue and is sent again, in order: nothing is dropped, and a write may be performed twice, which its
caller sees as ``Result.retried``. Watches are remembered when the read that set them is answered and forgotten when
their event comes; on a new connection they are registered again with the last zxid seen, before any request, so the
server reports what changed in between ahead of every later reply. Events are returned ahead of the replies that follow
them. Only the server ends a session (it alone counts the time); after that, nothing of it is sent on the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from broker.zk.operations import Exists, GetChildren, GetData, Operation, Result, WatchKind, ZkCode, code_of
from broker.zk.requests import Requests
from broker.zookeeper.jute import JuteError, Reader
from broker.zookeeper.messages import (
    AUTH_XID,
    EMPTY,
    NOTIFICATION_XID,
    PING_XID,
    SET_WATCHES_XID,
    ConnectRequest,
    ConnectResponse,
    OpCode,
    Record,
    ReplyHeader,
    SetWatchesRequest,
    WatcherEvent,
    encode_request,
    frame,
)

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
WATCHES_PER_FRAME = 100_000
MAX_XID = 2**31 - 1
NO_PASSWORD = bytes(16)


class State(Enum):
    IDLE = "idle"
    DIALING = "dialing"
    HANDSHAKE = "handshake"
    CONNECTED = "connected"
    CLOSING = "closing"
    EXPIRED = "expired"
    CLOSED = "closed"


class Dial(NamedTuple):
    """Connect to the next host after ``pause`` seconds; report ``connected`` or ``dial_failed``."""

    pause: float


class Send(NamedTuple):
    data: bytes


class Drop(NamedTuple):
    """Close the connection, or give up the dial; nothing of it may be reported any more."""


class Complete(NamedTuple):
    """The answer to a submitted call."""

    token: Hashable
    result: Result


class WatchEvent(NamedTuple):
    kind: WatchKind
    path: str


class Attached(NamedTuple):
    """Connected; ``fresh``: with a new session."""

    session_id: int
    password: bytes
    timeout_ms: int
    fresh: bool


class Detached(NamedTuple):
    """The connection is lost; the session may live on."""

    why: str


class Expired(NamedTuple):
    session_id: int


class Notify(NamedTuple):
    event: WatchEvent | Attached | Detached | Expired


Effect = Dial | Send | Drop | Complete | Notify


class _Call:
    __slots__ = ("body", "op", "opcode", "sent", "token", "xid")

    def __init__(self, token: Hashable, op: Operation, opcode: OpCode, body: Record) -> None:
        self.token: Hashable | None = token  # None: abandoned, its reply is awaited for the order only
        self.op = op
        self.opcode = opcode
        self.body = body
        self.sent = 0
        self.xid = 0


class IllegalEvent(Exception):
    """An event that the session's state does not allow; nothing was changed."""


class Session:
    """One broker's session: handshake, re-attachment, pings, the queue of requests, and the watches set on it."""

    def __init__(
        self,
        *,
        timeout_ms: int,
        hosts: int = 1,
        max_in_flight: int = 10,
        chroot: str = "",
        secure: bool = False,
        session_id: int = 0,
        password: bytes = NO_PASSWORD,
    ) -> None:
        """``session_id`` and ``password`` of an earlier session, to attach to it again."""
        self.state = State.IDLE
        self.session_id = session_id
        self.password = password
        self.timeout_ms = timeout_ms
        self.wake_at: float | None = None
        self.ended = False  # the server confirmed the close
        self._asked_timeout_ms = timeout_ms
        self._connect_timeout = max(1.0, timeout_ms / 1000 / hosts)
        self._max_in_flight = max_in_flight
        self._requests = Requests(chroot, secure)
        self._last_zxid = 0
        self._xid = 0
        self._pause = 0.0
        self._deadline = 0.0
        self._heard = 0.0
        self._spoke = 0.0
        self._waiting: deque[_Call] = deque()
        self._sent: deque[_Call] = deque()
        self._data_watches: dict[str, None] = {}
        self._exist_watches: dict[str, None] = {}
        self._child_watches: dict[str, None] = {}

    @property
    def connected(self) -> bool:
        return self.state is State.CONNECTED

    # --- events ----------------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Begin, with a new session or the one given to the constructor."""
        self._expect(State.IDLE)
        return self._dial(now)

    def renew(self, now: float) -> list[Effect]:
        """Begin a new session after the expiry of the last; what was submitted since then goes to the new one."""
        self._expect(State.EXPIRED)
        return self._dial(now)

    def submit(self, calls: Iterable[tuple[Hashable, Operation]], now: float) -> list[Effect]:
        """Queue operations, to be sent in this order; each is completed under its token, once."""
        if self.state in (State.CLOSING, State.CLOSED):
            return [Complete(token, Result(ZkCode.SESSION_EXPIRED)) for token, _ in calls]
        self._waiting.extend([_Call(token, op, *self._requests.encode(op)) for token, op in calls])
        return self._pump(now) if self.state is State.CONNECTED else []

    def abandon(self, tokens: Iterable[Hashable], now: float) -> list[Effect]:
        """The callers gave up: what was not sent never will be, and replies to the rest are thrown away."""
        gone = dict.fromkeys(tokens)
        self._waiting = deque(call for call in self._waiting if call.token not in gone)
        for call in self._sent:
            if call.token in gone:
                call.token = None
        return []

    def connected_to_host(self, now: float) -> list[Effect]:
        self._expect(State.DIALING)
        self.state = State.HANDSHAKE
        self._deadline = now + self._connect_timeout
        self._set_wake()
        hello = ConnectRequest(0, self._last_zxid, self._asked_timeout_ms, self.session_id, self.password)
        return [Send(frame(hello.encode()))]

    def dial_failed(self, now: float) -> list[Effect]:
        self._expect(State.DIALING)
        return self._dial(now)

    def disconnected(self, now: float, why: str = "the server closed the connection") -> list[Effect]:
        """The socket is gone."""
        if self.state is State.CLOSING:
            return self._closed()
        self._expect(State.HANDSHAKE, State.CONNECTED)
        return self._lose(now, why)

    def received(self, payload: bytes, now: float) -> list[Effect]:
        """One frame without its length."""
        self._expect(State.HANDSHAKE, State.CONNECTED, State.CLOSING)
        self._heard = now
        try:
            if self.state is State.HANDSHAKE:
                return self._attach(ConnectResponse.decode(Reader(payload)), now)
            reader = Reader(payload)
            return self._take(ReplyHeader.decode(reader), reader, now)
        except JuteError as problem:
            return self._lose(now, f"an unreadable frame: {problem}")

    def tick(self, now: float) -> list[Effect]:
        """Time passed: ping in silence, give up a server that is silent for two thirds of the time-out."""
        match self.state:
            case State.DIALING | State.HANDSHAKE if now >= self._deadline:
                return self._lose(now, "no answer")
            case State.CLOSING if now >= self._deadline:
                return self._closed()
            case State.CONNECTED:
                return self._keep_alive(now)
            case _:
                return []

    def close(self, now: float) -> list[Effect]:
        """End the session, so that its ephemerals go at once; calls that were not sent end as SESSION_EXPIRED."""
        if self.state in (State.CLOSING, State.CLOSED):
            return []
        effects: list[Effect] = list(self._fail(self._waiting))
        if self.state is not State.CONNECTED:
            return [*effects, *self._closed()]
        self.state = State.CLOSING
        self._deadline = now + min(self.timeout_ms / 3000, 5.0)
        self._set_wake()
        closing = _Call(None, Exists("/"), OpCode.CLOSE_SESSION, EMPTY)
        return [*effects, Send(self._enter_window(closing, now))]

    # --- connection ------------------------------------------------------------------------------------------------

    def _expect(self, *states: State) -> None:
        if self.state not in states:
            raise IllegalEvent(f"session {self.session_id:#x} is {self.state.value}")

    def _dial(self, now: float) -> list[Effect]:
        pause, self._pause = self._pause, min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self.state = State.DIALING
        self._deadline = now + pause + self._connect_timeout
        self._set_wake()
        return [Dial(pause)]

    def _lose(self, now: float, why: str) -> list[Effect]:
        """What was sent and not answered is sent again, first, on the next connection."""
        if self.state is State.CLOSING:
            return self._closed()
        effects: list[Effect] = [Drop()]
        if self.state is State.CONNECTED:
            effects.append(Notify(Detached(why)))
        self._waiting.extendleft(call for call in reversed(self._sent) if call.token is not None)
        self._sent.clear()
        return effects + self._dial(now)

    def _attach(self, reply: ConnectResponse, now: float) -> list[Effect]:
        if reply.timeout_ms <= 0:
            return self._expire()
        fresh = self.session_id == 0
        self.session_id, self.password, self.timeout_ms = reply.session_id, reply.password, reply.timeout_ms
        self.state = State.CONNECTED
        self._spoke = now
        effects: list[Effect] = [Notify(Attached(reply.session_id, reply.password, reply.timeout_ms, fresh))]
        if again := b"".join(self._watch_frames()):
            effects.append(Send(again))
        return effects + self._pump(now)

    def _expire(self) -> list[Effect]:
        session_id, self.session_id, self.password = self.session_id, 0, NO_PASSWORD
        self.timeout_ms = self._asked_timeout_ms
        self._last_zxid = 0
        self._pause = 0.0
        self._forget_watches()
        self.state = State.EXPIRED
        self.wake_at = None
        return [Drop(), *self._fail(self._sent), *self._fail(self._waiting), Notify(Expired(session_id))]

    def _closed(self) -> list[Effect]:
        self.state = State.CLOSED
        self.wake_at = None
        self._forget_watches()
        return [Drop(), *self._fail(self._sent), *self._fail(self._waiting)]

    @staticmethod
    def _fail(calls: deque[_Call]) -> list[Effect]:
        failed = [Complete(call.token, Result(ZkCode.SESSION_EXPIRED)) for call in calls if call.token is not None]
        calls.clear()
        return list(failed)

    def _keep_alive(self, now: float) -> list[Effect]:
        timeout = self.timeout_ms / 1000
        if now - self._heard >= timeout * 2 / 3:
            return self._lose(now, f"the server is silent for {now - self._heard:.1f} s")
        effects: list[Effect] = []
        if now - self._spoke >= timeout / 3:
            self._spoke = now
            effects.append(Send(encode_request(PING_XID, OpCode.PING)))
        self._set_wake()
        return effects

    def _set_wake(self) -> None:
        if self.state is State.CONNECTED:
            timeout = self.timeout_ms / 1000
            self.wake_at = min(self._spoke + timeout / 3, self._heard + timeout * 2 / 3)
        else:
            self.wake_at = self._deadline

    # --- requests and replies --------------------------------------------------------------------------------------

    def _pump(self, now: float) -> list[Effect]:
        """Send what fits into the window."""
        frames: list[bytes] = []
        while self._waiting and len(self._sent) < self._max_in_flight:
            frames.append(self._enter_window(self._waiting.popleft(), now))
        self._set_wake()
        return [Send(b"".join(frames))] if frames else []

    def _enter_window(self, call: _Call, now: float) -> bytes:
        self._xid = 1 if self._xid == MAX_XID else self._xid + 1
        call.xid = self._xid
        call.sent += 1
        self._sent.append(call)
        self._spoke = now
        return encode_request(call.xid, call.opcode, call.body)

    def _take(self, header: ReplyHeader, reader: Reader, now: float) -> list[Effect]:
        xid, zxid, error = header
        if xid == NOTIFICATION_XID:
            return self._event(reader)
        if xid == PING_XID:
            self._pause = 0.0
            return []
        if error == ZkCode.AUTH_FAILED or (xid == SET_WATCHES_XID and error):
            return self._lose(now, f"refused by the server: {code_of(error).name}")
        if xid in (SET_WATCHES_XID, AUTH_XID):
            return []
        if not self._sent or self._sent[0].xid != xid:
            return self._lose(now, f"an answer out of order: xid {xid}")
        if error == ZkCode.SESSION_EXPIRED and self.state is State.CONNECTED:
            return self._expire()
        if error == ZkCode.SESSION_MOVED:
            return self._lose(now, "the session moved to another server")
        self._pause = 0.0  # only now: a server that refuses whatever comes is not asked in a hurry
        if zxid > 0:
            self._last_zxid = max(self._last_zxid, zxid)
        return self._reply(self._sent[0], error, reader, now)

    def _reply(self, call: _Call, error: int, reader: Reader, now: float) -> list[Effect]:
        if call.opcode == OpCode.CLOSE_SESSION:
            self.ended = error == ZkCode.OK
            self._sent.clear()
            return self._closed()
        result = self._requests.decode(call.op, call.opcode, error, reader)
        self._sent.popleft()
        self._remember_watch(call.op, result)
        effects: list[Effect] = []
        if call.token is not None:
            effects.append(Complete(call.token, result._replace(retried=True) if call.sent > 1 else result))
        if self.state is State.CONNECTED:
            effects += self._pump(now)
        return effects

    # --- watches ---------------------------------------------------------------------------------------------------

    def _remember_watch(self, op: Operation, result: Result) -> None:
        if not isinstance(op, (GetData, GetChildren, Exists)) or not op.watch:
            return
        if isinstance(op, Exists) and result.code == ZkCode.NO_NODE:
            self._exist_watches[op.path] = None
        elif result.ok and isinstance(op, GetChildren):
            self._child_watches[op.path] = None
        elif result.ok:
            self._data_watches[op.path] = None

    def _event(self, reader: Reader) -> list[Effect]:
        event = WatcherEvent.decode(reader)
        if event.type not in (1, 2, 3, 4):
            return []
        kind, path = WatchKind(event.type), self._requests.own(event.path)
        if kind is not WatchKind.CHILDREN_CHANGED:
            self._data_watches.pop(path, None)
            self._exist_watches.pop(path, None)
        if kind in (WatchKind.CHILDREN_CHANGED, WatchKind.DELETED):
            self._child_watches.pop(path, None)
        return [Notify(WatchEvent(kind, path))]

    def _forget_watches(self) -> None:
        for watches in (self._data_watches, self._exist_watches, self._child_watches):
            watches.clear()

    def _watch_frames(self) -> Iterator[bytes]:
        """setWatches in frames well below jute.maxbuffer: a controller of thousands of topics has more than one."""
        batch: tuple[list[str], list[str], list[str]] = ([], [], [])
        size = 0
        for kind, watches in enumerate((self._data_watches, self._exist_watches, self._child_watches)):
            for path in watches:
                full = self._requests.full(path)
                batch[kind].append(full)
                size += len(full) * 4
                if size >= WATCHES_PER_FRAME:
                    yield self._set_watches(*batch)
                    batch, size = ([], [], []), 0
        if size:
            yield self._set_watches(*batch)

    def _set_watches(self, data: list[str], exist: list[str], child: list[str]) -> bytes:
        body = SetWatchesRequest(self._last_zxid, tuple(data), tuple(exist), tuple(child))
        return encode_request(SET_WATCHES_XID, OpCode.SET_WATCHES, body)
