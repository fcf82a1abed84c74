"""The shell around :mod:`broker.zk.session`: sockets, timers and futures (kafka.zookeeper.ZooKeeperClient).

``await client.request(ops)`` sends operations in order, several in flight, and answers in the same order. What the
connection loses is sent again while the session lives (``Result.retried``). After an expiry every pending request ends
with SessionExpired, the ``expired`` callbacks run, a new session is made, and the ``established`` callbacks run.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from broker.host import Host, Timer
from broker.zk import znodes
from broker.zk.operations import (
    OPEN_ACL,
    ConnectionLost,
    Create,
    Operation,
    Result,
    SessionExpired,
    WatchKind,
    ZkCode,
    ZkError,
)
from broker.zk.saved_session import SavedSession
from broker.zk.session import (
    Attached,
    Complete,
    Detached,
    Dial,
    Drop,
    Effect,
    Expired,
    Notify,
    Send,
    Session,
    State,
    WatchEvent,
)
from broker.zk.transport import ConnectString, Transport

log = logging.getLogger(__name__)


class _Batch:
    """One call of :meth:`ZooKeeperClient.request` under way."""

    __slots__ = ("answer", "missing", "results")

    def __init__(self, size: int, answer: asyncio.Future[list[Result]]) -> None:
        self.results: list[Result] = [Result(ZkCode.CONNECTION_LOSS)] * size
        self.missing = size
        self.answer = answer


class ZooKeeperClient:
    """One session after another with one ZooKeeper (ensemble)."""

    def __init__(
        self,
        host: Host,
        connect: str,
        *,
        session_timeout_ms: int = 18_000,
        connection_timeout_ms: int | None = None,
        max_in_flight: int = 10,
        secure_acl: bool = False,
        session_file: str | None = None,
        request_timeout: float = 30.0,
    ) -> None:
        """Raises ValueError for a malformed connect string.

        ``session_file``: where id and password of the session are kept, so that this broker's next start can end it.
        ``request_timeout``: seconds that a request waits for ZooKeeper when the caller names no time-out.
        """
        self.connect = connect
        self.request_timeout = request_timeout
        self._host = host
        self._clock = host.clock
        self._address = ConnectString.parse(connect)
        self._timeout_ms = session_timeout_ms
        self._connection_timeout = (connection_timeout_ms or session_timeout_ms) / 1000
        self._saved = SavedSession(host.files, session_file) if session_file else None
        self._session = Session(
            timeout_ms=session_timeout_ms,
            hosts=len(self._address.hosts),
            max_in_flight=max_in_flight,
            chroot=self._address.chroot,
            secure=secure_acl,
        )
        self._transport = Transport(host, self._address.hosts, self._on_dialed, self._on_frame, self._on_lost)
        self._effects: deque[Effect] = deque()
        self._performing = False
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._batches: dict[int, _Batch] = {}
        self._next_batch = 0
        self._sessions = 0
        self._attached: asyncio.Future[bool] | None = None
        self._closed: asyncio.Future[None] | None = None
        self._on_watch: list[Callable[[str, WatchKind], None]] = []
        self._on_expired: list[Callable[[], None]] = []
        self._on_established: list[Callable[[], None]] = []

    # --- life ------------------------------------------------------------------------------------------------------

    @property
    def session_id(self) -> int:
        """0 while there is none."""
        return self._session.session_id

    @property
    def connected(self) -> bool:
        return self._session.connected

    @property
    def session_timeout_ms(self) -> int:
        """As negotiated."""
        return self._session.timeout_ms

    def subscribe(
        self,
        *,
        watch: Callable[[str, WatchKind], None] | None = None,
        expired: Callable[[], None] | None = None,
        established: Callable[[], None] | None = None,
    ) -> None:
        """Callbacks, plain functions that should not raise, called in the order of subscription.

        ``watch(path, kind)``: a watch fired; called ahead of every reply that ZooKeeper sent after the event.
        ``expired()``: the session is over and the next one not begun. ``established()``: a new session, not the first.
        """
        if watch is not None:
            self._on_watch.append(watch)
        if expired is not None:
            self._on_expired.append(expired)
        if established is not None:
            self._on_established.append(established)

    async def start(self) -> None:
        """Connect: end the session of this broker's last life, make the chroot, open a session.

        The caller holds the locks of the log directories, or it would end the session of a broker that lives.
        Raises ConnectionLost when ZooKeeper does not answer within the connection time-out.
        """
        if self._saved is not None:
            await self._end_predecessor(self._saved)
        if self._address.chroot:
            await self._make_chroot()
        if not await self._open():
            raise ConnectionLost(ZkCode.CONNECTION_LOSS, message=f"ZooKeeper at {self.connect} grants no session")

    async def _open(self) -> bool:
        """Wait for the first session; False if the one to be attached is over."""
        self._attached = asyncio.get_running_loop().create_future()
        self._perform(self._session.start(self._clock.monotonic()))
        timer = self._clock.call_later(self._connection_timeout, self._give_up_start)
        try:
            return await self._attached
        except ConnectionLost:
            self._perform(self._session.close(self._clock.monotonic()))
            raise
        finally:
            timer.cancel()

    def _give_up_start(self) -> None:
        if self._attached is not None and not self._attached.done():
            trouble = f" ({self._transport.trouble})" if self._transport.trouble else ""
            message = f"no answer within {self._connection_timeout:g} s{trouble}"
            self._attached.set_exception(ConnectionLost(ZkCode.CONNECTION_LOSS, message=message))

    async def close(self) -> None:
        """End the session; its ephemerals go at once. Pending requests end with SessionExpired."""
        self._closed = asyncio.get_running_loop().create_future()
        self._perform(self._session.close(self._clock.monotonic()))
        if self._session.state is not State.CLOSED:
            await self._closed
        if self._timer is not None:
            self._timer.cancel()
        if self._saved is not None and self._session.ended:
            self._saved.forget()

    def _sibling(self, connect: str) -> ZooKeeperClient:
        return ZooKeeperClient(
            self._host,
            connect,
            session_timeout_ms=self._timeout_ms,
            connection_timeout_ms=int(self._connection_timeout * 1000),
        )

    async def _end_predecessor(self, saved: SavedSession) -> None:
        known = saved.read()
        if known is None:
            return
        predecessor = self._sibling(self.connect)
        predecessor._session = Session(timeout_ms=self._timeout_ms, session_id=known[0], password=known[1])
        alive = await predecessor._open()
        await predecessor.close()
        if alive:
            log.info("zookeeper session %#x of this broker's last life ended, its registration with it", known[0])
        else:
            log.info("zookeeper session %#x of this broker's last life is over already", known[0])
        saved.forget()

    async def _make_chroot(self) -> None:
        """With a session of its own, outside of the chroot (facts A.1)."""
        chroot = self._address.chroot
        outside = self._sibling(self.connect[: -len(self.connect.partition("/")[2]) - 1])
        await outside.start()
        try:
            paths = [*znodes.parents(chroot), chroot]
            for result in await outside.request([Create(path, acl=OPEN_ACL) for path in paths]):
                if result.code not in (ZkCode.OK, ZkCode.NODE_EXISTS):
                    raise ZkError.of(result.code, result.path)
        finally:
            await outside.close()

    # --- requests --------------------------------------------------------------------------------------------------

    async def request(self, ops: Sequence[Operation], timeout: float | None = None) -> list[Result]:
        """Perform ``ops`` in order; one result each, errors of single operations in ``Result.code``.

        ``timeout`` in seconds (``math.inf``: as long as the session lives). Raises SessionExpired; ConnectionLost when
        the time is up: then it is not known which operations were performed.
        """
        if not ops:
            return []
        self._next_batch += 1
        serial = self._next_batch
        batch = _Batch(len(ops), asyncio.get_running_loop().create_future())
        self._batches[serial] = batch
        calls = [((serial, index), op) for index, op in enumerate(ops)]
        seconds = self.request_timeout if timeout is None else timeout
        timer = None
        try:
            self._perform(self._session.submit(calls, self._clock.monotonic()))
            if seconds != float("inf") and not batch.answer.done():
                timer = self._clock.call_later(max(seconds, 0.0), self._give_up, batch, seconds)
            return await batch.answer
        finally:
            if timer is not None:
                timer.cancel()
            del self._batches[serial]
            if batch.missing:
                self._session.abandon([token for token, _ in calls], self._clock.monotonic())

    def _give_up(self, batch: _Batch, seconds: float) -> None:
        if not batch.answer.done():
            message = f"ZooKeeper at {self.connect} did not answer within {seconds:g} s"
            batch.answer.set_exception(ConnectionLost(ZkCode.CONNECTION_LOSS, message=message))

    def _complete(self, serial: int, index: int, result: Result) -> None:
        batch = self._batches.get(serial)
        if batch is None or batch.answer.done():
            return
        batch.results[index] = result
        batch.missing -= 1
        if result.code == ZkCode.SESSION_EXPIRED:
            batch.answer.set_exception(SessionExpired(ZkCode.SESSION_EXPIRED))
        elif not batch.missing:
            batch.answer.set_result(batch.results)

    # --- effects of the machine ------------------------------------------------------------------------------------

    def _perform(self, effects: list[Effect]) -> None:
        """Strictly in the machine's order, also when a callback makes requests: frames must leave in order of xid."""
        self._effects.extend(effects)
        if self._performing:
            return
        self._performing = True
        try:
            while self._effects:
                self._perform_one(self._effects.popleft())
        finally:
            self._performing = False
        self._arm()

    def _perform_one(self, effect: Effect) -> None:
        match effect:
            case Send(data):
                self._transport.send(data)
            case Complete((int(serial), int(index)), result):
                self._complete(serial, index, result)
            case Notify(event):
                self._notify(event)
            case Dial(pause):
                self._transport.dial(pause)
            case Drop():
                self._transport.drop()
                if self._session.state is State.CLOSED and self._closed is not None and not self._closed.done():
                    self._closed.set_result(None)
            case Complete(token, _):
                raise TypeError(f"unknown token {token!r}")

    def _notify(self, event: WatchEvent | Attached | Detached | Expired) -> None:
        match event:
            case WatchEvent(kind, path):
                for watch in self._on_watch:
                    self._call(watch, path, kind)
            case Attached():
                self._established(event)
            case Detached(why):
                log.warning("zookeeper session %#x: connection lost: %s; reconnecting", self.session_id, why)
            case Expired(session_id):
                self._expired(session_id)

    def _established(self, event: Attached) -> None:
        log.info(
            "zookeeper session %#x %s, time-out %d ms",
            event.session_id,
            "established" if event.fresh else "attached again",
            event.timeout_ms,
        )
        if event.fresh:
            self._sessions += 1
            if self._saved is not None:
                self._saved.write(event.session_id, event.password)
        if self._attached is not None and not self._attached.done():
            self._attached.set_result(True)
        if event.fresh and self._sessions > 1:
            for established in self._on_established:
                self._call(established)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        """One callback that fails must not cost the others their event, nor this broker its next session."""
        try:
            callback(*arguments)
        except Exception:
            log.exception("zookeeper session %#x: %s failed", self.session_id, callback)

    def _expired(self, session_id: int) -> None:
        log.warning("zookeeper session %#x expired", session_id)
        if self._attached is not None and not self._attached.done():
            self._attached.set_result(False)
            return
        for expired in self._on_expired:
            self._call(expired)
        if self._session.state is State.EXPIRED:
            self._perform(self._session.renew(self._clock.monotonic()))

    def _arm(self) -> None:
        """One timer, moved only forward in time: a wake-up that is early does nothing."""
        at = self._session.wake_at
        if at is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None or at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._clock.call_later(max(at - self._clock.monotonic(), 0.001), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._perform(self._session.tick(self._clock.monotonic()))

    def _on_dialed(self, connected: bool) -> None:
        now = self._clock.monotonic()
        self._perform(self._session.connected_to_host(now) if connected else self._session.dial_failed(now))

    def _on_frame(self, payload: bytes) -> None:
        self._perform(self._session.received(payload, self._clock.monotonic()))

    def _on_lost(self, why: str) -> None:
        self._perform(self._session.disconnected(self._clock.monotonic(), why))
