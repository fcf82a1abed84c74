"""Partitions that are being moved (ReassignPartitionsCommand, by the API of KIP-455)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kops.cluster.offsets import Position
from kops.errors import Failed, KopsError
from kops.session import Session

_NONE_IN_PROGRESS = 85


@dataclass(frozen=True, slots=True)
class Move:
    """A partition on its way: ``replicas`` is the union while it lasts."""

    topic: str
    partition: int
    replicas: tuple[int, ...]
    adding: tuple[int, ...]
    removing: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.topic}-{self.partition}"

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition)


def under_way(session: Session) -> list[Move]:
    """Every partition that is being moved, in order."""
    found = session.patiently(session.admin.list_partition_reassignments)
    return sorted(
        (
            Move(
                tp.topic,
                tp.partition,
                tuple(one["replicas"]),
                tuple(one["adding_replicas"]),
                tuple(one["removing_replicas"]),
            )
            for tp, one in found.items()
        ),
        key=lambda move: (move.topic, move.partition),
    )


def start(session: Session, targets: Mapping[Position, Sequence[int]]) -> dict[Position, KopsError]:
    """Ask the controller to move partitions; those that it refused, with why. It returns before they are moved."""
    return _alter(session, {position: list(replicas) for position, replicas in targets.items()})


def cancel(session: Session, moves: Iterable[Move]) -> dict[Position, KopsError]:
    """Back to the replicas from before; what was over already is no failure."""
    return _alter(session, {move.position: None for move in moves})


def _alter(session: Session, wanted: Mapping[Position, Any]) -> dict[Position, KopsError]:
    from kafka import TopicPartition

    if not wanted:
        return {}
    asked = {TopicPartition(position.topic, position.partition): replicas for position, replicas in wanted.items()}
    answers = session.patiently(lambda: session.admin.alter_partition_reassignments(asked))
    failed: dict[Position, KopsError] = {}
    for tp, error in answers.items():
        if error is None or error.errno == _NONE_IN_PROGRESS:
            continue
        position = Position(tp.topic, tp.partition)
        failed[position] = Failed(
            f"{position}: {error.__name__.removesuffix('Error')}: {error.description}",
            "`kops broker list` shows who is there, `kops partition list` the replicas.",
            subject=str(position),
            code=error.__name__,
        )
    return failed
