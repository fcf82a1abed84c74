"""A recorded session: what was seen of a cluster, as NDJSON, to be replayed in the dashboard.

One object per line, each with ``at`` (wall milliseconds) and ``kind``: first ``recording`` (with the format's version),
then ``cluster`` for everything there is, and ``brokers``, ``controller``, ``partition`` for what changed since; the
dashboard adds ``processes``, ``ends``, ``floors``, ``event`` and ``report``.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from kops.cluster.metadata import Broker, Partition, Snapshot, Topic, snapshot
from kops.cluster.watching import Controlled, Fact, Registered, StateOf, wall_ms
from kops.errors import BadUsage, KopsError
from kops.session import Session

VERSION = 1


@dataclass(frozen=True, slots=True)
class Line:
    """What happened at ``at``; ``fields`` by kind."""

    at: int
    kind: str
    fields: Mapping[str, Any]


class Recording:
    """A file that is being written, line by line: what is in it can be replayed also after a crash."""

    def __init__(self, path: str, at: int, name: str) -> None:
        """``name``: the context's. Raises BadUsage for a file that is there already, or cannot be made."""
        try:
            self._file = open(path, "x", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed by close
        except FileExistsError as error:
            raise BadUsage(f"{path} is there already", "Name a new file to record to.") from error
        except OSError as error:
            raise BadUsage(f"cannot record to {path}: {error.strerror}", "Name a file that can be made.") from error
        self.path = path
        self.write(at, "recording", version=VERSION, name=name)

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def write(self, at: int, kind: str, **fields: object) -> None:
        self._file.write(json.dumps({"at": at, "kind": kind, **fields}, separators=(",", ":")) + "\n")

    def cluster(self, at: int, seen: Snapshot, resolution_ms: int) -> None:
        """Everything there is."""
        self.write(
            at,
            "cluster",
            clusterId=seen.cluster_id,
            controller=seen.controller,
            brokers=_brokers(seen.brokers),
            topics=[[one.name, one.internal] for one in seen.topics],
            partitions=[packed(one) for one in seen.partitions],
            resolutionMs=resolution_ms,
        )

    def fact(self, fact: Fact) -> None:
        """What ZooKeeper pushed."""
        match fact:
            case Registered():
                self.write(fact.at, "brokers", ids=list(fact.brokers))
            case Controlled():
                self.write(fact.at, "controller", id=fact.controller)
            case StateOf():
                state = [fact.topic, fact.index, fact.leader, fact.leader_epoch, None, list(fact.isr)]
                self.write(fact.at, "partition", partition=state, resolutionMs=0)


def packed(one: Partition) -> list[object]:
    """Topic, number, leader, epoch, replicas, ISR."""
    return [one.topic, one.index, one.leader, one.leader_epoch, list(one.replicas), list(one.isr)]


def unpacked(row: list[Any], before: Mapping[str, Partition]) -> Partition:
    """``before`` knows the replicas where the row leaves them out, as ZooKeeper's state of a partition does."""
    topic, index, leader, epoch, replicas, isr = row
    if replicas is None:
        old = before.get(f"{topic}-{index}")
        replicas = old.replicas if old is not None else sorted(isr)
    return Partition(topic, index, leader, epoch, tuple(replicas), tuple(isr))


def snapshot_of(fields: Mapping[str, Any]) -> Snapshot:
    """What a ``cluster`` line says."""
    parts: dict[str, list[Partition]] = {name: [] for name, _ in fields["topics"]}
    for row in fields["partitions"]:
        parts.setdefault(row[0], []).append(unpacked(row, {}))
    topics = tuple(Topic(name, None, internal, tuple(parts[name])) for name, internal in fields["topics"])
    return Snapshot(fields["clusterId"], fields["controller"], brokers_of(fields["brokers"]), topics)


def brokers_of(rows: Iterable[list[Any]]) -> tuple[Broker, ...]:
    return tuple(Broker(broker, host, port) for broker, host, port in rows)


def _brokers(brokers: Iterable[Broker]) -> list[list[object]]:
    return [[one.id, one.host, one.port] for one in brokers]


@contextmanager
def recorded_by_polling(
    recording: Recording, session: Session, topics: list[str] | None, interval: float
) -> Iterator[None]:
    """While it is open, the cluster is looked at every ``interval`` seconds, and recorded whole when it changed."""
    from kafka.errors import KafkaError

    ending = threading.Event()

    def poll() -> None:
        before: Snapshot | None = None
        while not ending.wait(interval):
            try:
                seen = snapshot(session, topics)
            except (KafkaError, KopsError):
                continue  # the broker that was asked has just gone: the next look goes to another one
            if seen != before:
                recording.cluster(wall_ms(), seen, int(interval * 1000))
            before = seen

    thread = threading.Thread(target=poll, name="kops-recording", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(10.0)


def read(path: str) -> list[Line]:
    """A recording in the order of its times. Raises BadUsage for what is none; a torn last line is left out."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadUsage(f"cannot read {path}: {error}", "Name a file that --record wrote.") from error
    found: list[Line] = []
    whole = text.split("\n")[:-1]
    for number, line in enumerate(whole, 1):
        try:
            fields = json.loads(line)
            found.append(Line(int(fields.pop("at")), str(fields.pop("kind")), fields))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise BadUsage(f"{path}, line {number}: not of a recording", "Name a file that --record wrote.") from error
    if not found or found[0].kind != "recording":
        raise BadUsage(f"{path} is no recording", "Name a file that --record wrote.")
    if found[0].fields.get("version") != VERSION:
        raise BadUsage(f"{path} was recorded by another version of kops", "Replay it with that one.")
    return found[:1] + sorted(found[1:], key=lambda line: line.at)
