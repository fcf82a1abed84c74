"""Removing the older records of partitions (DeleteRecordsCommand, KIP-107)."""

from collections.abc import Mapping
from dataclasses import dataclass

from kops.cluster import offsets
from kops.cluster.metadata import snapshot
from kops.cluster.offsets import EARLIEST, LATEST, Position
from kops.errors import Failed, KopsError, NotAuthorised, NotFound, Refused
from kops.session import Session


@dataclass(frozen=True, slots=True)
class Emptying:
    """A partition whose records below ``target`` go. ``begins``: its first offset now."""

    position: Position
    begins: int
    ends: int
    target: int

    @property
    def records(self) -> int:
        """How many go, at most: compaction and transactions leave gaps."""
        return max(0, self.target - self.begins)


def plan(session: Session, wanted: Mapping[Position, int | None]) -> list[Emptying]:
    """What would go of each partition; None: all of it. Raises NotFound, Failed for a partition without a leader."""
    led = offsets.leaders(snapshot(session, sorted({position.topic for position in wanted})))
    headless = [position for position in wanted if position not in led]
    if headless:
        raise Failed(f"{headless[0]} has no leader", "`kops partition list` shows why.", subject=str(headless[0]))
    first = offsets.at_times(session, led, dict.fromkeys(wanted, EARLIEST))
    last = offsets.at_times(session, led, dict.fromkeys(wanted, LATEST))
    steps = []
    for position, target in sorted(wanted.items()):
        begins, ends = first.get(position, 0), last.get(position, 0)
        steps.append(Emptying(position, begins, ends, ends if target is None else target))
    return steps


def empty(session: Session, step: Emptying) -> Emptying:
    """Delete, and read the new beginning back. Raises KopsError: beyond the end, compacted, internal."""
    from kafka.protocol.admin import DeleteRecordsRequest as Request

    of_topic = Request.DeleteRecordsTopic
    partition = of_topic.DeleteRecordsPartition(partition_index=step.position.partition, offset=step.target)
    topic = of_topic(name=step.position.topic, partitions=[partition])
    led = offsets.leaders(snapshot(session, [step.position.topic]))
    request = Request(topics=[topic], timeout_ms=int(session.timeout * 1000))
    answer = session.send(request, led.get(step.position))
    for result in (one for each in answer.topics for one in each.partitions):
        if result.error_code:
            raise _error(step, result.error_code)
    begins = offsets.at_times(session, led, {step.position: EARLIEST}).get(step.position, -1)
    if begins < step.target:
        raise Failed(
            f"{step.position} still begins at {begins}, not at {step.target}",
            "Ask again: a follower may be slow to confirm.",
            subject=str(step.position),
        )
    return Emptying(step.position, step.begins, step.ends, begins)


_REASONS: dict[int, tuple[type[KopsError], str, str]] = {
    1: (Failed, "the offset is beyond its end", "`kops partition list` shows where partitions begin and end."),
    3: (NotFound, "it does not exist", "`kops topic list` shows the topics there are."),
    17: (Refused, "it is internal to Kafka", "Its records are Kafka's own."),
    29: (NotAuthorised, "not authorised", "Ask for the right, or use another context."),
    44: (
        Refused,
        "it is compacted (cleanup.policy=compact), and brokers empty only topics whose policy has delete",
        "`kops topic alter NAME --config cleanup.policy=compact,delete` first.",
    ),
}


def _error(step: Emptying, code: int) -> KopsError:
    from kafka.errors import for_code

    name = str(for_code(code).__name__)
    kind, why, advice = _REASONS.get(code, (Failed, name, "Again in a moment."))
    return kind(f"{step.position} cannot be emptied: {why}", advice, subject=str(step.position), code=name)
