"""Topics: list, create, alter, delete, and what each takes to be true afterwards (TopicCommand, by admin API)."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kops.cluster.metadata import Snapshot, Topic, on_every_broker, snapshot, topics_of, wait_until
from kops.errors import BadUsage, Failed, NotAuthorised, NotFound, Refused, Unreachable
from kops.session import Session
from kops.words import counted

_DISABLED = 73
_UNKNOWN_TOPIC = 3
_TIMED_OUT = 7
_MARKED = "is marked for deletion"
_STEP = 0.2


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to be made. None asks for the broker's default; ``assignment`` is one list of brokers per partition."""

    name: str
    partitions: int | None = None
    replication_factor: int | None = None
    assignment: tuple[tuple[int, ...], ...] = ()
    configs: Mapping[str, str] = field(default_factory=dict)


def select(session: Session, names: Sequence[str], pattern: str | None) -> list[Topic]:
    """Topics by name, or by an anchored regular expression that leaves internal ones out; all when neither is given."""
    if names:
        return topics_of(session, list(dict.fromkeys(names)))[1]
    topics = snapshot(session).topics
    if pattern is None:
        return list(topics)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise BadUsage(f"'{pattern}' is not a regular expression: {error}", "It must match whole names.") from error
    return [topic for topic in topics if expression.fullmatch(topic.name) and not topic.internal]


def with_configs(session: Session, topics: Sequence[Topic], *, inherited: bool = False) -> list[Topic]:
    """The topics with their own settings; ``inherited``: also those that the brokers' files say, as Apache's tool."""
    from kafka.admin import ConfigResource, ConfigResourceType

    if not topics:
        return []
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    which = "all" if inherited else "modified"
    described = session.patiently(lambda: session.admin.describe_configs(resources, config_filter=which))["topic"]
    return [replace(topic, configs=_values(described.get(topic.name, {}))) for topic in topics]


def _values(entries: Mapping[str, Any]) -> dict[str, str]:
    """Names and values of what is not Kafka's own default."""
    return {
        name: entry["value"] for name, entry in sorted(entries.items()) if entry["config_source"] != "DEFAULT_CONFIG"
    }


def create_topic(session: Session, new: NewTopic, *, validate_only: bool = False) -> Topic | None:
    """Create, then wait until every broker knows the topic and each partition has a leader; None when only validated.

    While an older topic of that name is still being deleted it is tried again, as long as one may wait for an answer.
    Raises kafka.errors (TopicAlreadyExistsError, InvalidReplicationFactorError...), Unreachable.
    """
    spec: dict[str, Any] = {"configs": dict(new.configs)}
    if new.assignment:
        spec["assignments"] = dict(enumerate(list(replicas) for replicas in new.assignment))
    else:
        spec["num_partitions"] = -1 if new.partitions is None else new.partitions
        spec["replication_factor"] = -1 if new.replication_factor is None else new.replication_factor

    def asked() -> Any:
        return session.patiently(
            lambda: session.admin.create_topics({new.name: spec}, raise_errors=False, validate_only=validate_only)
        )

    response, deadline = asked(), time.monotonic() + session.timeout
    while _being_deleted(response) and time.monotonic() < deadline:
        time.sleep(_STEP)
        response = asked()
    for result in response["topics"]:
        _raise_for(result["error_code"], result.get("error_message"), new.name)
    if validate_only:
        return None
    wait_until(session, lambda: _not_ready(session, new.name), session.timeout)
    return topics_of(session, [new.name])[1][0]


def _being_deleted(response: Any) -> bool:
    """The name is taken by a topic that the controller has not finished deleting (AdminManager)."""
    return any(_MARKED in (one.get("error_message") or "") for one in response["topics"])


def _not_ready(session: Session, name: str) -> str | None:
    for broker, view in on_every_broker(session, [name]).items():
        topic = view.topic(name) if view else None
        if view is None:
            return f"broker {broker} does not answer"
        if topic is None or topic.error or not topic.partitions:
            return f"broker {broker} does not know topic {name} yet"
        if any(partition.leader < 0 for partition in topic.partitions):
            return f"topic {name} has partitions without a leader"
    return None


def add_partitions(session: Session, name: str, total: int) -> Topic:
    """Raise the number of partitions to ``total``, and wait until every broker knows leaders of the new ones.

    Whoever asks next may ask any broker: one that knows fewer is waited for too. Raises kafka.errors, Unreachable.
    """
    response = session.patiently(lambda: session.admin.create_partitions({name: total}, raise_errors=False))
    for result in response.results:
        _raise_for(result.error_code, result.error_message, name)
    wait_until(session, lambda: _fewer_than(session, name, total), session.timeout)
    return topics_of(session, [name])[1][0]


def _fewer_than(session: Session, name: str, total: int) -> str | None:
    for broker, view in on_every_broker(session, [name]).items():
        if view is None:
            return f"broker {broker} does not answer"
        topic = view.topic(name)
        ready = [partition for partition in topic.partitions if partition.leader >= 0] if topic else []
        if len(ready) < total:
            return f"broker {broker} knows a leader of {len(ready)} of {total} partitions"
    return None


@dataclass(frozen=True, slots=True)
class Deleted:
    """A topic that is gone from the metadata of every broker after ``seconds``."""

    name: str
    partitions: int
    seconds: float


def delete_topic(session: Session, topic: Topic) -> Deleted:
    """Delete and wait until no broker knows it any more. Raises Refused when brokers forbid it, Unreachable."""
    response = session.patiently(lambda: session.admin.delete_topics([topic.name], raise_errors=False))
    for result in response["topics"]:
        if result["error_code"] != _TIMED_OUT:
            _raise_for(result["error_code"], result.get("error_message"), topic.name)
    try:
        seconds = wait_until(session, lambda: still_there(session, topic), session.timeout)
    except Unreachable as error:
        raise _why_not_gone(session, topic, error) from error
    return Deleted(topic.name, len(topic.partitions), seconds)


def is_known(session: Session, name: str) -> bool:
    """Whether any broker that answers knows a topic of that name."""
    found = [view.topic(name) for view in on_every_broker(session, [name]).values() if view]
    return any(topic is not None and topic.error not in (3, 17) for topic in found)


def still_there(session: Session, topic: Topic) -> str | None:
    """None when no broker that answers knows the topic (a new one of that name has another id), else who does."""
    holders = []
    for broker, view in on_every_broker(session, [topic.name]).items():
        found = view.topic(topic.name) if view else None
        if found is not None and not found.error and (topic.id is None or found.id == topic.id):
            holders.append(broker)
    return f"broker {_listed(holders)} still knows topic {topic.name}" if holders else None


def _why_not_gone(session: Session, topic: Topic, error: Unreachable) -> Unreachable:
    """A deletion waits for every broker that holds a replica: name those that are down."""
    alive = {broker.id for broker in snapshot(session, []).brokers}
    absent = sorted({replica for p in topic.partitions for replica in p.replicas} - alive)
    if absent:
        return Unreachable(
            f"topic {topic.name} is marked for deletion, but broker {_listed(absent)} is down",
            "It will be deleted when that broker is back.",
            subject=topic.name,
        )
    return error


def plan_of_deletion(seen: Snapshot, topics: Sequence[Topic]) -> list[str]:
    """What a deletion costs, one line per topic, in words."""
    alive = {broker.id for broker in seen.brokers}
    lines = []
    for topic in topics:
        replicas = {replica for partition in topic.partitions for replica in partition.replicas}
        down = sorted(replicas - alive)
        note = f"; broker {_listed(down)} is down, it will stay marked until that is back" if down else ""
        where = f"broker{'s' * (len(replicas) != 1)} {_listed(sorted(replicas))}"
        lines.append(f"{topic.name}: {counted(len(topic.partitions), 'partition')} on {where}{note}")
    return lines


def why_not_writable(session: Session, name: str) -> str | None:
    """What keeps a topic from acknowledging writes with acks=all, in words; None when nothing is seen."""
    from kafka.admin import ConfigResource, ConfigResourceType

    topic = snapshot(session, [name]).topic(name)
    if topic is None or topic.error:
        return f"topic {name} does not exist"
    headless = [partition.name for partition in topic.partitions if partition.leader < 0]
    if headless:
        return f"{headless[0]} has no leader"
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    settings = session.patiently(lambda: session.admin.describe_configs([resource], config_filter="all"))["topic"][name]
    needed = int(settings["min.insync.replicas"]["value"])
    few = [partition for partition in topic.partitions if len(partition.isr) < needed]
    if not few:
        return None
    return (
        f"{few[0].name} has {len(few[0].isr)} of {len(few[0].replicas)} replicas in sync, min.insync.replicas={needed}"
    )


def check_name(name: str) -> None:
    """Kafka's rule for topic names (org.apache.kafka.common.internals.Topic). Raises BadUsage."""
    if not name or name in (".", "..") or len(name) > 249 or not re.fullmatch(r"[a-zA-Z0-9._-]+", name):
        raise BadUsage(
            f"'{name}' cannot be the name of a topic", "1 to 249 of ASCII letters, digits, '.', '_' and '-'."
        )


def _raise_for(code: int, message: str | None, name: str) -> None:
    """The error of one topic as ours, with Kafka's own message."""
    from kafka import errors

    if code == 0:
        return
    error = errors.for_code(code)
    text = f"topic {name}: {message or error.description}"
    if code == _UNKNOWN_TOPIC:
        raise NotFound(f"topic '{name}' does not exist", "`kops topic list` shows the topics there are.", subject=name)
    if code == _DISABLED:
        raise Refused(
            f"topic {name} cannot be deleted: delete.topic.enable is false on the brokers",
            "Set delete.topic.enable=true on every broker, restart them, and try again.",
            subject=name,
        )
    if issubclass(error, errors.AuthorizationError):
        raise NotAuthorised(text, "Ask for the right, or use another context.", subject=name, code=error.__name__)
    if code == _TIMED_OUT:
        raise Unreachable(
            text, "It may still happen: `kops topic list` in a moment.", subject=name, code=error.__name__
        )
    advice = _ADVICE.get(error.__name__, "")
    if _MARKED in text:
        advice = f"`kops doctor` says what its deletion waits for, `kops topic purge {name}` ends it."
    raise Failed(text, advice, subject=name, code=error.__name__)


_ADVICE = {
    "TopicAlreadyExistsError": "Choose another name, say --if-not-exists, or delete it first.",
    "InvalidReplicationFactorError": "Start more brokers, or ask for fewer replicas: `kops broker list`.",
    "InvalidPartitionsError": "Partitions can only be added.",
    "InvalidConfigurationError": "The settings of a topic: https://kafka.apache.org/documentation/#topicconfigs",
}


def _plain(outcome: str) -> str:
    """kafka-python writes ``[Error 40] InvalidConfigurationError: text``."""
    return outcome.partition(": ")[2] or outcome


def _listed(ids: Sequence[int]) -> str:
    return ",".join(str(one) for one in ids)
