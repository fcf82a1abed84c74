"""Leader elections on demand (LeaderElectionCommand, by ElectLeaders: KIP-183, KIP-460)."""

from collections.abc import Sequence
from dataclasses import dataclass

from kops.cluster.metadata import NO_LEADER, Partition, snapshot, wait_until
from kops.errors import Failed, KopsError, NotAuthorised, NotFound, Refused, Unreachable
from kops.session import Session

_PREFERRED, _UNCLEAN = 0, 1
_NOT_NEEDED = 84


@dataclass(frozen=True, slots=True)
class Election:
    """A partition, and who leads it before and after; None: not elected yet."""

    partition: Partition
    leader: int | None = None


def needed(partitions: Sequence[Partition], *, unclean: bool) -> list[Partition]:
    """Those that an election can change: not led by the preferred replica, or, unclean, led by nobody."""
    if unclean:
        return [one for one in partitions if one.leader == NO_LEADER]
    return [one for one in partitions if not one.preferred_leads]


def elect(
    session: Session, partitions: Sequence[Partition], *, unclean: bool
) -> tuple[list[Election], list[KopsError]]:
    """Elect, and wait until the metadata shows it. (what was elected, what was not, with why)."""
    if not partitions:
        return [], []
    by_topic: dict[str, list[int]] = {}
    for one in partitions:
        by_topic.setdefault(one.topic, []).append(one.index)
    kind = _UNCLEAN if unclean else _PREFERRED
    answer = session.patiently(lambda: session.admin.elect_leaders(kind, by_topic, raise_errors=False))
    if getattr(answer, "error_code", 0):
        raise _error("the election", answer.error_code, None)
    failed = {
        (result.topic, one.partition_id): _error(
            f"{result.topic}-{one.partition_id}", one.error_code, one.error_message
        )
        for result in answer.replica_election_results
        for one in result.partition_result
        if one.error_code not in (0, _NOT_NEEDED)
    }
    elected = [one for one in partitions if (one.topic, one.index) not in failed]
    if elected:
        wait_until(session, lambda: _waiting(session, elected, unclean=unclean), session.timeout)
    now = {p.name: p.leader for p in snapshot(session, list(by_topic)).partitions}
    return [Election(one, now.get(one.name)) for one in elected], list(failed.values())


def _waiting(session: Session, elected: Sequence[Partition], *, unclean: bool) -> str | None:
    now = {p.name: p for p in snapshot(session, sorted({one.topic for one in elected})).partitions}
    for one in elected:
        found = now.get(one.name)
        if found is None or found.leader == NO_LEADER or not (unclean or found.preferred_leads):
            return f"{one.name} is led by {'nobody' if found is None or found.leader < 0 else found.leader}"
    return None


_REASONS: dict[int, tuple[type[KopsError], str, str]] = {
    3: (NotFound, "it does not exist", "`kops partition list` shows what there is."),
    7: (Unreachable, "the controller did not finish in time", "See `kops partition list` in a moment."),
    17: (Refused, "the topic is being deleted", "Wait for it: `kops topic list`."),
    29: (NotAuthorised, "not authorised", "Ask for the right, or use another context."),
    31: (NotAuthorised, "not authorised", "Ask for the right, or use another context."),
    80: (Refused, "its preferred replica is down or not in sync", "`kops broker list` shows who is down."),
    83: (Refused, "none of its replicas is alive", "Start one of its brokers: `kops partition list`."),
}


def _error(subject: str, code: int, message: str | None) -> KopsError:
    from kafka.errors import for_code

    name = str(for_code(code).__name__)
    kind, why, advice = _REASONS.get(code, (Failed, message or name, "Again in a moment."))
    return kind(f"{subject}: no election: {why}", advice, subject=subject, code=name)
