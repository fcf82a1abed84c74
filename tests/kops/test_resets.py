"""Where offsets go, what it costs, and what is remembered: the pure parts of resets."""

from __future__ import annotations

from pathlib import Path

import pytest

from kops.cluster import groups, lag, times
from kops.cluster.changes import DONE, UNDONE, OffsetChange, Step
from kops.cluster.groups import Committed, Group, Listed
from kops.cluster.lag import GroupLag
from kops.cluster.metadata import Broker
from kops.cluster.offsets import Position
from kops.columns.group_views import span
from kops.commands.apache import rewrite
from kops.contexts import Context
from kops.errors import BadUsage, Failed, NotFound
from kops.operations import journal, targets
from kops.operations.reset import _step
from kops.operations.targets import Target, Where
from kops.session import Session

HERE = Position("orders", 0)


def step(target: Target, committed: int | None, first: int = 10, last: int = 50, **given: int) -> Step:
    known = None if committed is None else Committed(committed)
    return _step("g", HERE, known, {HERE: first}, {HERE: last}, target, given.get("given"), given.get("timed"))


@pytest.mark.parametrize(
    ("target", "committed", "given", "goes_to", "note"),
    [
        (Target(Where.EARLIEST), 30, {}, 10, ""),
        (Target(Where.LATEST), 30, {}, 50, ""),
        (Target(Where.OFFSET, 40), 30, {}, 40, ""),
        (Target(Where.OFFSET, 99), 30, {}, 50, "clamped from 99: it ends earlier"),
        (Target(Where.OFFSET, 3), None, {}, 10, "clamped from 3: it begins later"),
        (Target(Where.SHIFT, -5), 30, {}, 25, ""),
        (Target(Where.SHIFT, -50), 30, {}, 10, "clamped from -20: it begins later"),
        (Target(Where.SHIFT, 1), None, {}, None, "no commit yet: nothing to shift"),
        (Target(Where.CURRENT), 30, {}, 30, ""),
        (Target(Where.CURRENT), None, {}, 50, "no commit yet: the end"),
        (Target(Where.TIME, 1), 30, {"timed": 33}, 33, ""),
        (Target(Where.TIME, 1), 30, {"timed": -1}, 50, "no record so late: the end"),
        (Target(Where.FILE), 30, {"given": 12}, 12, ""),
        (Target(Where.LATEST), None, {}, 50, "no commit yet"),
    ],
)
def test_each_target_goes_where_apaches_goes(
    target: Target, committed: int | None, given: dict[str, int], goes_to: int | None, note: str
) -> None:
    found = step(target, committed, **given)
    assert (found.target, found.note) == (goes_to, note)


def test_a_partition_that_is_gone_stays_as_it_is() -> None:
    found = _step("g", HERE, Committed(3), {}, {}, Target(Where.EARLIEST), None, None)
    assert found.target is None
    assert found.change is None
    assert "left as it is" in found.note


def test_the_plan_counts_what_is_replayed_and_skipped_of_what_is_there() -> None:
    back, forth = step(Target(Where.OFFSET, 20), 45), step(Target(Where.LATEST), 5)
    assert (back.delta, back.replayed, back.skipped) == (-25, 25, 0)
    assert (forth.delta, forth.replayed, forth.skipped) == (45, 0, 40)  # 5 to 9 were gone already
    assert step(Target(Where.OFFSET, 20), 20).change is None


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("PT6H", 21_600_000), ("P1DT12H", 129_600_000), ("PT1.5S", 1500), ("90m", 5_400_000), ("30s", 30_000)],
)
def test_durations_are_iso_or_short(text: str, milliseconds: int) -> None:
    assert times.duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "P", "PT", "6 hours", "-6h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadUsage):
        times.duration(text)


def test_times_are_epoch_rfc_3339_or_relative() -> None:
    assert times.moment("1767225600") == times.moment("1767225600000") == 1_767_225_600_000
    assert times.moment("2026-01-01T00:00:00Z") == times.moment("2026-01-01T01:00:00.000+01:00") == 1_767_225_600_000
    assert times.moment("2026-01-01T00:00:00.000", utc=True) == 1_767_225_600_000
    assert times.moment("-1h") - times.moment("-2h") == pytest.approx(3_600_000, abs=1000)
    with pytest.raises(BadUsage):
        times.moment("yesterday")


def test_apaches_csv_is_read_in_both_widths_and_written() -> None:
    assert targets.read_csv(["orders,0,5", '"orders",1,6', ""], ["g"]) == {"g": {HERE: 5, Position("orders", 1): 6}}
    several = {"g": {HERE: 5}, "h": {HERE: 7}}
    assert targets.read_csv(targets.write_csv(several), ["g", "h"]) == several
    assert targets.write_csv({"g": {HERE: 5}}) == ["orders,0,5"]
    for wrong in (["orders,0"], ["orders,0,x"], ["a,b,c,d,e"]):
        with pytest.raises(BadUsage, match="line 1"):
            targets.read_csv(wrong, ["g"])
    with pytest.raises(BadUsage):
        targets.read_csv(["orders,0,5"], ["g", "h"])  # whose offset is it?


def test_a_scope_names_topics_and_partitions() -> None:
    assert targets.scope(["orders", "audit:0,2"]) == {"orders": (), "audit": (0, 2)}
    with pytest.raises(BadUsage):
        targets.scope(["orders:first"])


def test_the_journal_keeps_what_was_before_and_finds_what_can_be_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(NotFound):
        journal.find(None, lambda _entry: True)
    change = OffsetChange("g", HERE, Committed(7, 3, "by hand"), None)
    entry = journal.begin("delete group g", "cluster-1", "127.0.0.1:9092", [change])
    assert journal.entries() == [entry]
    assert journal.ended(entry, DONE).changes == (change,)
    assert journal.find(None, lambda one: one.cluster == "cluster-1").id == entry.id
    with pytest.raises(NotFound):
        journal.find(None, lambda one: one.cluster == "cluster-2")
    journal.ended(entry, UNDONE)
    with pytest.raises(NotFound):
        journal.find(None, lambda _entry: True)
    assert journal.find(entry.id, lambda _entry: False).state == UNDONE


@pytest.mark.parametrize(
    ("line", "rewritten"),
    [
        ("group --list --state", "group list --apache-verbs --state="),
        ("group --list --type", "group list --apache-verbs --type="),
        ("group --list --state Empty", "group list --apache-verbs --state Empty"),
        ("group --describe --group g --state", "group describe --apache-verbs --group g --state"),
        ("group --reset-offsets --group g --to-earliest", "group reset-offsets --apache-verbs --group g --to-earliest"),
        ("groups list --state -o name", "groups list --state= -o name"),
    ],
)
def test_apaches_lines_about_groups_are_understood(line: str, rewritten: str) -> None:
    assert " ".join(rewrite(line.split())) == rewritten


def test_a_watch_goes_on_when_the_coordinator_moves_and_ends_when_nobody_takes_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Broker(1, "localhost", 9092)
    session = Session(Context(bootstrap_servers="localhost:9092"), timeout=1000.0)
    group = Group("g", "Empty", "consumer", "", here)
    at_rest, moves = GroupLag(group, ()), Failed("NotCoordinator")
    looks: list[GroupLag | Failed] = [at_rest, moves, at_rest, moves]

    def look(_session: Session, _chosen: object) -> list[GroupLag]:
        found = looks.pop(0)
        if isinstance(found, Failed):
            raise found
        return [found]

    monkeypatch.setattr(lag, "measure", look)
    monkeypatch.setattr(groups, "listed", lambda _session: [Listed("g", "consumer", "Empty", here)])
    rounds = lag.paces(session, [], 0.0)
    assert [one.now.group.id for one in next(rounds)] == ["g"]
    session.timeout = -1.0
    with pytest.raises(Failed, match="NotCoordinator"):
        next(rounds)


def test_lengths_of_time_have_two_units() -> None:
    lengths = [None, 0, 340, 12_000, 200_000, 18_120_000, 273_600_000]
    assert [span(one) for one in lengths] == ["-", "0", "340ms", "12s", "3m20s", "5h02m", "3d04h"]
