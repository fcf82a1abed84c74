"""What a handler is given, and what it may answer beside a reply (kafka.network.RequestChannel.Request).

A handler returns one of
* a reply message, encoded in the request's version;
* bytes, or a list of buffers: a whole frame that is ready to be sent (``broker.wire.hot``);
* :class:`NoReply`: nothing is sent (acks=0), or :class:`Close`: the connection is closed once earlier replies are out;
* :class:`Later` (plain ``def`` handlers): someone completes it with one of the above.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from broker.api.services import Services


class ConnectionLike(Protocol):
    """What handlers may know of a connection. ``state`` is theirs, by name of the family (SASL keeps its progress)."""

    name: str
    listener: str
    client_host: str
    principal: str
    state: dict[str, Any]


class Context:
    """One request: where it came from and how. ``arrived`` is monotonic seconds."""

    __slots__ = ("api_key", "arrived", "client_id", "connection", "correlation_id", "services", "version")

    def __init__(
        self,
        connection: ConnectionLike,
        services: Services,
        api_key: int,
        version: int,
        correlation_id: int,
        client_id: str | None,
        arrived: float,
    ) -> None:
        self.connection = connection
        self.services = services
        self.api_key = api_key
        self.version = version
        self.correlation_id = correlation_id
        self.client_id = client_id
        self.arrived = arrived

    @property
    def listener(self) -> str:
        """The name of the listener that the client dialled."""
        return self.connection.listener

    @property
    def principal(self) -> str:
        """``User:ANONYMOUS`` where nobody authenticates."""
        return self.connection.principal

    @property
    def client_host(self) -> str:
        return self.connection.client_host


class NoReply:
    """Nothing is sent for this request."""


class Close:
    """The connection is closed; ``reason`` is for the log."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


NO_REPLY: Final = NoReply()


class Later:
    """An answer that comes later, exactly once, by :meth:`complete` or :meth:`fail`, unless the connection ends before.

    ``holds``: requests behind it on its connection are not begun until it is answered (Kafka's own order for all);
    otherwise they are begun, and only their replies wait. ``on_drop`` is called when the connection ends first;
    whatever is completed after that goes nowhere.
    """

    __slots__ = ("_waiting", "answer", "dropped", "holds", "on_drop")

    def __init__(self, *, holds: bool = False, on_drop: Callable[[], None] | None = None) -> None:
        self.holds = holds
        self.on_drop = on_drop
        self.answer: Any = None
        self.dropped = False
        self._waiting: Callable[[], None] | None = None

    @property
    def done(self) -> bool:
        return self.answer is not None

    def complete(self, answer: Any) -> None:
        """Answer with anything that a handler may return, but a Later. Raises RuntimeError when answered before."""
        if self.answer is not None:
            raise RuntimeError("this request has been answered")
        self.answer = answer
        if self._waiting is not None:
            self._waiting()

    def fail(self, error: Exception) -> None:
        """As if the handler had raised ``error``."""
        self.complete(Failure(error))

    def when_done(self, callback: Callable[[], None]) -> None:
        """For the connection: called by :meth:`complete`."""
        self._waiting = callback

    def drop(self) -> None:
        """For the connection, which ends."""
        self.dropped = True
        self._waiting = None
        if self.on_drop is not None and self.answer is None:
            self.on_drop()


class Failure:
    """An exception on its way to the dispatcher."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error
