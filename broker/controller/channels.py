"""The active controller's lines to the brokers (kafka.controller.ControllerChannelManager, RequestSendThread).

Each broker has one queue, in order, with one request in flight, sent again until it is answered or the broker is
removed: a broker that was paused or cut off hears everything that it missed, in the order in which it was decided.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from broker.cluster.ibp import Ibp
from broker.cluster.peers import Line, Peers, PeerUnreachable
from broker.cluster.refusals import RefusalWatch
from broker.controller.events import ControlReply, OpenChannel
from broker.host import Clock
from broker.wire.keys import ApiKey
from broker.wire.messages.leader_and_isr import LeaderAndIsrRequest
from broker.wire.messages.stop_replica import StopReplicaRequest
from broker.wire.messages.update_metadata import UpdateMetadataRequest

log = logging.getLogger(__name__)

RETRY_S: Final = 0.1

_KEYS: Final[tuple[tuple[type, ApiKey], ...]] = (
    (LeaderAndIsrRequest, ApiKey.LEADER_AND_ISR),
    (UpdateMetadataRequest, ApiKey.UPDATE_METADATA),
    (StopReplicaRequest, ApiKey.STOP_REPLICA),
)


class Channels:
    """``on_reply`` gets the answers; ``on_crash`` what should not happen.

    ``watch(channel)`` watches the broker at its address for as long as the channel is open, or answers None.
    """

    def __init__(
        self,
        peers: Peers,
        clock: Clock,
        ibp: Ibp,
        client_id: str,
        on_reply: Callable[[ControlReply], None],
        on_crash: Callable[[BaseException], None],
        watch: Callable[[OpenChannel], RefusalWatch | None],
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._ibp = ibp
        self._client_id = client_id
        self._on_reply = on_reply
        self._on_crash = on_crash
        self._watch = watch
        self._channels: dict[int, _Channel] = {}
        self._watches: dict[int, RefusalWatch] = {}

    def open(self, channel_to: OpenChannel, timeout: float) -> None:
        """``timeout`` in seconds is that of one attempt (controller.socket.timeout.ms)."""
        broker = channel_to.broker
        self._end_watch(broker)
        watch = self._watch(channel_to)
        if watch is not None:
            self._watches[broker] = watch
        line = self._peers.line(broker, channel_to.host, channel_to.port, self._client_id)
        channel = self._channels.get(broker)
        if channel is not None:
            channel.point_at(line)
            return
        self._channels[broker] = _Channel(line, self._clock, self._ibp, timeout, self._on_reply, self._on_crash)

    def send(self, broker: int, request: Any) -> None:
        """Nothing happens where no channel is open: the broker has no listener for it."""
        channel = self._channels.get(broker)
        if channel is not None:
            channel.send(request)

    def is_watched_alive(self, broker: int) -> bool:
        """The broker's process holds a connection right now."""
        watch = self._watches.get(broker)
        return watch is not None and watch.is_connected

    def _end_watch(self, broker: int) -> None:
        watch = self._watches.pop(broker, None)
        if watch is not None:
            watch.close()

    def close(self, broker: int) -> None:
        self._end_watch(broker)
        channel = self._channels.pop(broker, None)
        if channel is not None:
            channel.close()

    def close_all(self) -> None:
        for broker in list(self._channels):
            self.close(broker)


class _Channel:
    def __init__(
        self,
        line: Line,
        clock: Clock,
        ibp: Ibp,
        timeout: float,
        on_reply: Callable[[ControlReply], None],
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._line = line
        self._clock = clock
        self._ibp = ibp
        self._timeout = timeout
        self._on_reply = on_reply
        self._queue: deque[Any] = deque()
        self._is_filled = asyncio.Event()
        self._on_crash = on_crash
        self._task = asyncio.ensure_future(self._run())
        self._task.add_done_callback(self._ended)

    def point_at(self, line: Line) -> None:
        """The request in flight is sent again there."""
        former, self._line = self._line, line
        former.close()

    def send(self, request: Any) -> None:
        self._queue.append(request)
        self._is_filled.set()

    def close(self) -> None:
        self._task.cancel()
        self._line.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._on_crash(error)

    async def _run(self) -> None:
        while True:
            while not self._queue:
                self._is_filled.clear()
                await self._is_filled.wait()
            request = self._queue.popleft()
            response = await self._deliver(request)
            self._on_reply(ControlReply(self._line.broker_id, request.broker_epoch, request, response))

    async def _deliver(self, request: Any) -> Any:
        key = next(key for kind, key in _KEYS if isinstance(request, kind))
        is_failing = False
        while True:
            try:
                response = await self._line.send(key, self._ibp.version(key), request, self._timeout)
            except PeerUnreachable as error:
                if not is_failing:
                    log.warning("%s is not sent yet and will be again: %s", key.name, error)
                is_failing = True
                await self._clock.sleep(RETRY_S)
            else:
                if is_failing:
                    log.info("%s reached %s", key.name, self._line)
                return response
