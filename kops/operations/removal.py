"""Removing consumer groups: what it costs, the removal, the proof, and the journal that can bring the offsets back."""

from collections.abc import Sequence
from dataclasses import dataclass

from kops.cluster import changes as kinds
from kops.cluster import groups
from kops.cluster.changes import Entry, OffsetChange
from kops.cluster.groups import Listed
from kops.errors import KopsError, translate
from kops.operations import journal, reset
from kops.session import Session
from kops.words import counted


@dataclass(frozen=True, slots=True)
class Plan:
    """The groups that go, and the committed offsets that go with them."""

    groups: tuple[Listed, ...]
    changes: tuple[OffsetChange, ...]

    @property
    def lines(self) -> list[str]:
        """One line per group."""
        counts = {one.id: sum(change.group == one.id for change in self.changes) for one in self.groups}
        return [f"group {name}: {counted(count, 'committed offset')}" for name, count in counts.items()]

    @property
    def what(self) -> str:
        return f"delete group {', '.join(one.id for one in self.groups)}"


def plan(session: Session, found: Sequence[Listed]) -> Plan:
    """Raises Refused for groups that somebody is in."""
    busy = [one for one in groups.describe(session, found) if not one.idle]
    if busy:
        raise groups.in_use(busy)
    committed = groups.committed(session, found)
    changes = [OffsetChange(one.id, p, c, None) for one in found for p, c in sorted(committed[one.id].items())]
    return Plan(tuple(found), tuple(changes))


def carry_out(session: Session, chosen: Plan) -> tuple[Entry, list[Listed], list[KopsError]]:
    """Save the offsets, delete, look again: (the journal's entry, what is gone, what failed)."""
    entry = reset.remember(session, chosen.what, chosen.changes)
    gone, errors = [], []
    for one in chosen.groups:
        try:
            gone.append(groups.delete(session, one))
        except Exception as error:
            known = translate(error)
            if known is None:
                raise
            errors.append(known)
    left = {one.id for one in groups.listed(session)}
    errors += [reset.still_there(one.id) for one in gone if one.id in left]
    journal.ended(entry, kinds.FAILED if errors else kinds.DONE)
    return entry, [one for one in gone if one.id not in left], errors
