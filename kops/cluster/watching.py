"""What ZooKeeper pushes of a cluster: brokers, controller, topics and every partition's state (watches, KafkaZkClient).

A watch rings once and says only that something changed: it is read again, which sets the next watch. What changes in
between is seen by that read, so the last state is always told; states that lasted shorter than a read can be missed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kazoo.client import KazooClient


@dataclass(frozen=True, slots=True)
class Registered:
    """The brokers that are registered."""

    at: int
    brokers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Controlled:
    """Who is controller; -1 when nobody is."""

    at: int
    controller: int


@dataclass(frozen=True, slots=True)
class Listed:
    """The topics there are."""

    at: int
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StateOf:
    """A partition's state as the controller or its leader wrote it."""

    at: int
    topic: str
    index: int
    leader: int
    leader_epoch: int
    isr: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.topic}-{self.index}"


@dataclass(frozen=True, slots=True)
class Connected:
    """Whether ZooKeeper answers: while it does not, nothing is pushed."""

    at: int
    up: bool


ASKED_EVERY, ANSWERED_WITHIN = 1.0, 1.0
"""Seconds. A server that hangs keeps its connection, which kazoo gives up after two thirds of the session's time."""

Fact = Registered | Controlled | Listed | StateOf | Connected
Tell = Callable[[Fact], None]


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Watching:
    """Watches of one client. ``tell`` is called with every fact, on kazoo's thread; ``at`` is when the watch rang.

    ``topics``: only these (all when None). Topics with more than ``limit`` partitions together are not watched.
    """

    def __init__(
        self, client: "KazooClient", tell: Tell, topics: Sequence[str] | None = None, limit: int = 2000
    ) -> None:
        self.client = client
        self.tell = tell
        self.topics = None if topics is None else set(topics)
        self.limit = limit
        self.watched: dict[str, tuple[str, int]] = {}
        """The partition of every path of a state that is watched."""
        self._known: set[str] = set()
        self._answers = True

    def start(self) -> None:
        """Read everything once, with watches; the facts arrive on ``tell``."""
        self.client.add_listener(self._connection)
        self._read_all(wall_ms())
        self.client.handler.spawn(self._ask_forever)

    def close(self) -> None:
        """Facts that arrive later are dropped. The client is its owner's to stop."""
        self.tell = _nobody
        self.client.remove_listener(self._connection)

    def _read_all(self, at: int) -> None:
        from broker.zk import znodes

        self._known.clear()
        self._children(at, znodes.BROKER_IDS)
        self._children(at, znodes.TOPICS)
        self._data(at, znodes.CONTROLLER)
        for path in list(self.watched):
            self._data(at, path)

    def _connection(self, state: str) -> None:
        """Watches are lost with the connection: everything is read again when there is a new one."""
        self._answering(state == "CONNECTED")

    def _answering(self, up: bool) -> None:
        if up != self._answers:
            self._answers = up
            self.tell(Connected(wall_ms(), up))
            if up:
                self.client.handler.spawn(self._read_all, wall_ms())

    def _ask_forever(self) -> None:
        """Whether it answers; one question at a time, since kazoo takes each for a sign of life of the server."""
        while self.tell is not _nobody:
            asked = self.client.exists_async("/")
            asked.wait(ANSWERED_WITHIN)
            if not asked.ready():
                self._answering(False)
                asked.wait()
                self._answering(self.client.connected)
            time.sleep(ASKED_EVERY)

    def _children(self, at: int, path: str) -> None:
        result = self.client.get_children_async(path, watch=self._rang)
        result.rawlink(lambda answer: self._children_are(at, path, answer))

    def _data(self, at: int, path: str) -> None:
        result = self.client.get_async(path, watch=self._rang)
        result.rawlink(lambda answer: self._data_is(at, path, answer))

    def _rang(self, event: Any) -> None:
        from broker.zk import znodes

        if event.path is None or event.type == "NONE":
            return  # the connection broke: see _connection
        at = wall_ms()
        if event.path in (znodes.BROKER_IDS, znodes.TOPICS):
            self._children(at, event.path)
        else:
            self._data(at, event.path)

    def _children_are(self, at: int, path: str, answer: Any) -> None:
        from broker.zk import znodes

        if answer.exception is not None:
            return
        names = sorted(answer.value)
        if path == znodes.BROKER_IDS:
            self.tell(Registered(at, tuple(sorted(int(name) for name in names))))
            return
        wanted = [name for name in names if self.topics is None or name in self.topics]
        self.tell(Listed(at, tuple(wanted)))
        for name in wanted:
            if name not in self._known:
                self._data(at, znodes.topic(name))
        self._known = set(wanted)
        self.watched = {state: owner for state, owner in self.watched.items() if owner[0] in self._known}

    def _data_is(self, at: int, path: str, answer: Any) -> None:
        from kazoo.exceptions import NoNodeError

        from broker.zk import znodes

        if isinstance(answer.exception, NoNodeError):
            self._absent(at, path)
        elif answer.exception is None:
            data = answer.value[0]
            if path == znodes.CONTROLLER:
                self.tell(Controlled(at, znodes.ControllerZnode.decode(data).broker_id))
            elif path in self.watched:
                topic, index = self.watched[path]
                state = znodes.PartitionState.decode(data)
                self.tell(StateOf(at, topic, index, state.leader, state.leader_epoch, state.isr))
            else:
                self._assigned(at, path, data)

    def _absent(self, at: int, path: str) -> None:
        """Nothing there: be told when it is made, unless its topic was deleted."""
        from broker.zk import znodes

        if path == znodes.CONTROLLER:
            self.tell(Controlled(at, -1))
            self._until_there(at, path)
        elif path in self.watched:
            self._until_there(at, path)

    def _until_there(self, at: int, path: str) -> None:
        """Ring when it is made; when that happened meanwhile, read it."""

        def looked(answer: Any) -> None:
            if answer.exception is None and answer.value is not None:
                self._data(at, path)

        self.client.exists_async(path, watch=self._rang).rawlink(looked)

    def _assigned(self, at: int, path: str, data: bytes) -> None:
        """A topic's assignment: watch the states of its partitions that are not watched yet."""
        from broker.zk import znodes

        name = path.removeprefix(znodes.TOPICS + "/")
        indexes = sorted(znodes.TopicZnode.decode(name, data).partitions)
        if len(self.watched) + len(indexes) > self.limit:
            return
        for index in indexes:
            state = znodes.partition_state(name, index)
            if state not in self.watched:
                self.watched[state] = (name, index)
                self._data(at, state)


def _nobody(_fact: Fact) -> None:
    """Who listens after the end."""
