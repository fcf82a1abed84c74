"""Judges a history: what clients were told, what they read, and what the replicas hold in the end.

Shared by simulated and real runs: a run records, this module decides. Every operation is *ok*, *failed* (surely not
done) or *unsure* (no answer, a time-out, an error that may follow the append). Values are unique within a history.

``epoch`` orders what different leaders say, since one that does not know yet that it was deposed may answer with what
was true: on what was told it is at least the leader epoch of who told it, on what was asked at most that of who was
asked. A statement is only held against one of an epoch that is not newer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

NOWHERE = -1


class Outcome(Enum):
    OK = "ok"
    FAILED = "failed"
    UNSURE = "unsure"


class Kind(Enum):
    """What can be wrong."""

    LOST = "acknowledged and lost"
    DIVERGED = "two values at one offset"
    DUPLICATE = "sent once, there twice"
    REORDERED = "order not kept"
    ASSIGNED_TWICE = "two members have one partition in one generation"
    SKIPPED = "an offset is skipped within an assignment"
    FAILED_BUT_READ = "told as failed, yet read"
    INVENTED = "read, never sent"
    SHRUNK = "the end offset went back"
    COMMIT_WENT_BACK = "a committed offset went back"
    REFUSED = "refused what must be taken"
    HOLLOW_ISR = "in sync without what is committed"
    CUT = "cut off what it knew to be committed"
    TWO_LEADERS = "two leaders in one epoch"


class Violation(NamedTuple):
    kind: Kind
    what: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.what}"


@dataclass(slots=True)
class Write:
    """One record sent with acks=all, again only if ``idempotent``. ``number`` counts up per producer and partition;
    ``offset`` as acknowledged.
    """

    producer: str
    partition: int
    number: int
    value: bytes
    idempotent: bool
    began: float
    outcome: Outcome = Outcome.UNSURE
    ended: float = float("inf")
    offset: int = NOWHERE
    epoch: int = NOWHERE


class Seen(NamedTuple):
    """A committed record as ``reader`` saw it: a consumer, or a replica below its high watermark."""

    reader: str
    partition: int
    offset: int
    value: bytes
    at: float


class Assigned(NamedTuple):
    """A group's member was given a partition, to go on at ``start``, where the group had committed."""

    reader: str
    partition: int
    start: int
    at: float
    generation: int


@dataclass(slots=True)
class Keyed:
    """One record of the compacted topic, sent with acks=all in this order; ``value`` None deletes the key."""

    key: bytes
    value: bytes | None
    outcome: Outcome = Outcome.UNSURE
    offset: int = NOWHERE


class EndOffset(NamedTuple):
    """A leader of ``epoch`` told that everything below ``offset`` is committed."""

    partition: int
    offset: int
    epoch: int
    began: float
    ended: float


class Commit(NamedTuple):
    """A group's only member asked to commit ``offset``; it commits one at a time, never less than before."""

    group: str
    partition: int
    offset: int
    outcome: Outcome
    epoch: int
    began: float
    ended: float


class Committed(NamedTuple):
    """A coordinator told that the group's committed offset is ``offset``, -1 for none."""

    group: str
    partition: int
    offset: int
    epoch: int
    began: float
    ended: float


Log = list[tuple[int, bytes]]


@dataclass(slots=True)
class History:
    """What happened. ``final``: partition -> replica -> its whole log once all is quiet. ``trouble``: seen at once.
    ``digests``: as ``final``, of all the bytes.

    ``kept``: replica -> (offset, key, value) of the compacted topic, once all is quiet.
    """

    writes: list[Write] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    ends: list[EndOffset] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    committed: list[Committed] = field(default_factory=list)
    final: dict[int, dict[str, Log]] = field(default_factory=dict)
    digests: dict[int, dict[str, int]] = field(default_factory=dict)
    assigned: list[Assigned] = field(default_factory=list)
    keyed: list[Keyed] = field(default_factory=list)
    kept: dict[str, list[tuple[int, bytes, bytes | None]]] = field(default_factory=dict)
    trouble: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        outcomes = [write.outcome for write in self.writes]
        told = ", ".join(f"{outcomes.count(each)} {each.value}" for each in Outcome)
        reads = sum(1 for each in self.seen if each.reader.startswith("consumer"))
        return f"{len(self.writes)} writes ({told}), {reads} reads, {len(self.commits)} commits"


def check(history: History) -> list[Violation]:
    """Every violation that the history shows, most telling first; an empty list is a clean history."""
    return [
        *_lost(history),
        *_gone(history),
        *_diverged(history),
        *_duplicates(history),
        *_reordered(history),
        *_skipped(history),
        *_wrongly_read(history),
        *_shrunk(history),
        *_commits_went_back(history),
        *_members_skipped(history),
        *_assigned_twice(history),
        *_compacted_away(history),
        *_compacted_apart(history),
        *history.trouble,
    ]


def _lost(history: History) -> Iterator[Violation]:
    for partition, logs in history.final.items():
        mine = [w for w in history.writes if w.partition == partition and w.outcome is Outcome.OK]
        for replica, log in logs.items():
            at, values = dict(log), {value for _, value in log}
            for write in mine:
                there = at.get(write.offset) == write.value if write.offset != NOWHERE else write.value in values
                if not there:
                    instead = at.get(write.offset, "nothing")
                    yield Violation(Kind.LOST, f"{write.value!r} at {_place(write)} on {replica}, where {instead!r} is")


def _gone(history: History) -> Iterator[Violation]:
    """What was read, or told to be committed, is there in the end; and somebody looked where something was told."""
    for partition, logs in history.final.items():
        for replica, log in logs.items():
            end = log[-1][0] + 1 if log else 0
            last = max((s.offset for s in history.seen if s.partition == partition), default=NOWHERE)
            if last >= end:
                yield Violation(Kind.LOST, f"offset {last} of partition {partition} was read, {replica} ends at {end}")
            told = max((e.offset for e in history.ends if e.partition == partition), default=0)
            if told > end:
                yield Violation(
                    Kind.SHRUNK, f"partition {partition} was told to end at {told}, {replica} ends at {end}"
                )
    for partition in dict.fromkeys(w.partition for w in history.writes if w.outcome is Outcome.OK):
        if not history.final.get(partition):
            yield Violation(
                Kind.LOST, f"partition {partition}, of which nobody has a replica, had acknowledged records"
            )


def _place(write: Write) -> str:
    return f"partition {write.partition} offset {write.offset} (told at {write.ended:.3f}, epoch {write.epoch})"


def _diverged(history: History) -> Iterator[Violation]:
    """One value per offset, for ever: what was once committed, was acknowledged, or is held in the end."""
    first: dict[tuple[int, int], tuple[bytes, str]] = {}
    for who, partition, offset, value in _statements(history):
        known, by = first.setdefault((partition, offset), (value, who))
        if known != value:
            yield Violation(
                Kind.DIVERGED, f"partition {partition} offset {offset}: {known!r} for {by}, {value!r} for {who}"
            )
    for partition, logs in history.final.items():
        ends = {replica: log[-1][0] + 1 if log else 0 for replica, log in logs.items()}
        if len(set(ends.values())) > 1:
            yield Violation(Kind.DIVERGED, f"partition {partition}: the replicas end at {ends}")
    for partition, digests in history.digests.items():
        if len(set(digests.values())) > 1:
            yield Violation(Kind.DIVERGED, f"partition {partition}: the replicas' bytes differ: {digests}")


def _statements(history: History) -> Iterator[tuple[str, int, int, bytes]]:
    for seen in history.seen:
        yield f"{seen.reader} at {seen.at:.3f}", seen.partition, seen.offset, seen.value
    for write in history.writes:
        if write.outcome is Outcome.OK and write.offset != NOWHERE:
            yield f"{write.producer} at {write.ended:.3f}", write.partition, write.offset, write.value
    for partition, logs in history.final.items():
        for replica, log in logs.items():
            for offset, value in log:
                yield f"{replica} in the end", partition, offset, value


def _duplicates(history: History) -> Iterator[Violation]:
    for partition, logs in history.final.items():
        for replica, log in logs.items():
            offsets: dict[bytes, int] = {}
            for offset, value in log:
                if value in offsets:
                    what = f"{value!r} at {offsets[value]} and {offset} of partition {partition} on {replica}"
                    yield Violation(Kind.DUPLICATE, what)
                offsets[value] = offset


def _reordered(history: History) -> Iterator[Violation]:
    """An idempotent producer's records lie in the order in which they were sent."""
    numbers = {write.value: (write.producer, write.number) for write in history.writes if write.idempotent}
    for partition, logs in history.final.items():
        for replica, log in logs.items():
            last: dict[str, int] = {}
            for offset, value in log:
                producer, number = numbers.get(value, ("", 0))
                if number < last.get(producer, 0):
                    what = f"{value!r} at offset {offset} of partition {partition} on {replica} after {last[producer]}"
                    yield Violation(Kind.REORDERED, what)
                last[producer] = max(number, last.get(producer, 0))


def _skipped(history: History) -> Iterator[Violation]:
    """Nothing is compacted or deleted here, so that a consumer, and a replica, sees every offset once."""
    nexts: dict[tuple[str, int], int] = {}
    for seen in history.seen:
        if not seen.reader.startswith("consumer"):
            continue
        key = (seen.reader, seen.partition)
        if seen.offset != nexts.get(key, 0):
            what = f"{seen.reader} got {seen.offset} instead of {nexts.get(key, 0)} of partition {seen.partition}"
            yield Violation(Kind.SKIPPED if seen.offset > nexts.get(key, 0) else Kind.REORDERED, what)
        nexts[key] = seen.offset + 1
    for partition, logs in history.final.items():
        for replica, log in logs.items():
            if [offset for offset, _ in log] != list(range(len(log))):
                yield Violation(Kind.SKIPPED, f"partition {partition} on {replica} has gaps")


def _members_skipped(history: History) -> Iterator[Violation]:
    """A member goes on where the group committed, and reads every offset from there on once."""
    nexts = {(each.reader, each.partition): each.start for each in history.assigned}
    done: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for seen in history.seen:
        key = (seen.reader, seen.partition)
        if key in nexts:
            if seen.offset != nexts[key]:
                what = f"{seen.reader} got {seen.offset} instead of {nexts[key]} of partition {seen.partition}"
                yield Violation(Kind.SKIPPED if seen.offset > nexts[key] else Kind.REORDERED, what)
            nexts[key] = seen.offset + 1
            done[seen.partition].append((seen.at, seen.offset + 1))
    for each in history.assigned:
        read = max((end for at, end in done[each.partition] if at <= each.at), default=0)
        if each.start > read:
            what = f"{each.reader} begins at {each.start} of partition {each.partition}, only {read} were read before"
            yield Violation(Kind.SKIPPED, what)


def _assigned_twice(history: History) -> Iterator[Violation]:
    holders: dict[tuple[int, int], str] = {}
    for each in history.assigned:
        member = each.reader.rpartition(".")[0]  # which may join a generation again
        holder = holders.setdefault((each.generation, each.partition), member)
        if holder != member:
            what = f"partition {each.partition} in generation {each.generation}: {holder} and {member}"
            yield Violation(Kind.ASSIGNED_TWICE, what)


def _compacted_apart(history: History) -> Iterator[Violation]:
    """Replicas may be cleaned differently, but hold no two records at one offset, nor a key's last records apart."""
    records: dict[int, tuple[bytes, bytes | None]] = {}
    newest: dict[bytes, int] = {}
    for replica, held in history.kept.items():
        for offset, key, value in held:
            if records.setdefault(offset, (key, value)) != (key, value):
                yield Violation(Kind.DIVERGED, f"offset {offset} on {replica} is {key!r}: {value!r}, elsewhere not")
            newest[key] = max(newest.get(key, NOWHERE), offset)
    for replica, held in history.kept.items():
        offsets = {offset for offset, _, _ in held}
        for key, offset in newest.items():
            if offset not in offsets and records[offset][1] is not None:
                yield Violation(Kind.DIVERGED, f"{replica} lacks the last record of {key!r}, offset {offset}")
    told = [write.offset for write in history.keyed if write.outcome is Outcome.OK]
    if told != sorted(set(told)):
        yield Violation(Kind.REORDERED, "the offsets at which the compacted topic's records were acknowledged")


def _compacted_away(history: History) -> Iterator[Violation]:
    """Of each key the last acknowledged record is there, or a later one; a deleted key does not come back.

    A key may be gone if a deletion of it was sent of which nobody knows: it may have come last.
    """
    last: dict[bytes, Keyed] = {}
    for write in history.keyed:
        if write.outcome is Outcome.OK and write.offset > last.get(write.key, Keyed(b"", b"")).offset:
            last[write.key] = write
    perhaps_deleted = {w.key for w in history.keyed if w.value is None and w.outcome is Outcome.UNSURE}
    acknowledged = {w.offset: (w.key, w.value) for w in history.keyed if w.outcome is Outcome.OK}
    sent = {(w.key, w.value) for w in history.keyed if w.outcome is not Outcome.FAILED}
    for replica, held in history.kept.items():
        ends = {key: offset for offset, key, _ in held}
        for key, write in last.items():
            may_be_gone = write.value is None or key in perhaps_deleted
            if ends.get(key, NOWHERE) < write.offset and (key in ends or not may_be_gone):
                what = f"{key!r}: {write.value!r} at offset {write.offset}; {replica} has {ends.get(key)}"
                yield Violation(Kind.LOST, what)
        for offset, key, value in held:
            if (key, value) not in sent:
                yield Violation(Kind.INVENTED, f"{key!r}: {value!r} at offset {offset} on {replica}")
            elif acknowledged.get(offset, (key, value)) != (key, value):
                yield Violation(Kind.DIVERGED, f"offset {offset} on {replica} is {key!r}: {value!r}")
        offsets = [offset for offset, _, _ in held]
        if offsets != sorted(set(offsets)):
            yield Violation(Kind.REORDERED, f"the offsets of the compacted topic on {replica}")


def longest_gap(history: History, partition: int) -> float:
    """For how many seconds at most nothing was acknowledged in a partition, from when somebody began to write to it."""
    writes = [write for write in history.writes if write.partition == partition]
    told = [write.ended for write in writes if write.outcome is Outcome.OK]
    began = [write.began for write in writes]
    times = sorted([*began[:1], *told, *began[-1:]])
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def _wrongly_read(history: History) -> Iterator[Violation]:
    outcomes = {write.value: write.outcome for write in history.writes}
    told: set[tuple[int, int]] = set()
    for who, partition, offset, value in _statements(history):
        if (partition, offset) in told:
            continue
        outcome = outcomes.get(value)
        if outcome is None or outcome is Outcome.FAILED:
            told.add((partition, offset))
            kind = Kind.INVENTED if outcome is None else Kind.FAILED_BUT_READ
            yield Violation(kind, f"{value!r} at offset {offset} of partition {partition}, for {who}")


def _shrunk(history: History) -> Iterator[Violation]:
    """What was told to be committed is below every end that is asked for afterwards, in no older epoch."""
    told: dict[int, list[tuple[float, int, int, str]]] = defaultdict(list)
    for write in history.writes:
        if write.outcome is Outcome.OK and write.offset != NOWHERE:
            told[write.partition].append((write.ended, write.epoch, write.offset + 1, f"{write.value!r} was told"))
    for end in history.ends:
        told[end.partition].append((end.ended, end.epoch, end.offset, "the end was told"))
    for end in history.ends:
        for ended, epoch, offset, what in told[end.partition]:
            if ended < end.began and epoch <= end.epoch and offset > end.offset:
                before = f"{what} with {offset} at {ended:.3f} in epoch {epoch}"
                now = f"partition {end.partition} ends at {end.offset} at {end.began:.3f} in epoch {end.epoch}"
                yield Violation(Kind.SHRUNK, f"{now}, but {before}")
                break


def _commits_went_back(history: History) -> Iterator[Violation]:
    for read in history.committed:
        mine = [each for each in history.commits if (each.group, each.partition) == (read.group, read.partition)]
        floor = max(
            (c.offset for c in mine if c.outcome is Outcome.OK and c.ended < read.began and c.epoch <= read.epoch),
            default=NOWHERE,
        )
        others = [
            each.offset
            for each in history.committed
            if (each.group, each.partition) == (read.group, read.partition)
            and each.ended < read.began
            and each.epoch <= read.epoch
        ]
        floor = max([floor, *others])
        if read.offset < floor:
            what = f"group {read.group} partition {read.partition}: {read.offset} at {read.began:.3f}, after {floor}"
            yield Violation(Kind.COMMIT_WENT_BACK, what)
        if read.offset >= 0 and read.offset not in {c.offset for c in mine if c.outcome is not Outcome.FAILED}:
            yield Violation(Kind.INVENTED, f"group {read.group} partition {read.partition}: offset {read.offset}")
