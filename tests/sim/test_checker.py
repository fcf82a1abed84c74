"""The judge is judged: a clean history passes, and a planted violation of each kind is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sim.checker import (
    Assigned,
    Commit,
    Committed,
    EndOffset,
    History,
    Keyed,
    Kind,
    Outcome,
    Seen,
    Violation,
    Write,
    check,
    longest_gap,
)


def clean() -> History:
    """Four acknowledged records, one that failed, one that nobody knows of and that is there; read and committed."""
    history = History()
    values = [b"p-0", b"p-1", b"p-2", b"p-3"]
    for offset, value in enumerate(values):
        told = offset + 0.5
        write = Write("p", 0, offset, value, True, float(offset), Outcome.OK, told, offset, 1)
        history.writes.append(write)
        history.seen.append(Seen("consumer-0", 0, offset, value, told + 5))
        history.ends.append(EndOffset(0, offset + 1, 1, told + 0.1, told + 0.2))
    history.writes.append(Write("q", 0, 0, b"q-0", False, 4.0, Outcome.FAILED, 4.1))
    history.writes.append(Write("q", 0, 1, b"q-1", False, 4.2, Outcome.UNSURE))
    log = [*enumerate(values), (4, b"q-1")]
    history.final[0] = {"broker-1": list(log), "broker-2": list(log)}
    history.commits.append(Commit("g", 0, 2, Outcome.OK, 1, 5.0, 5.1))
    history.commits.append(Commit("g", 0, 4, Outcome.UNSURE, 1, 6.0, 6.1))
    history.committed.append(Committed("g", 0, 2, 1, 5.5, 5.6))
    history.assigned.append(Assigned("member-A.1", 0, 2, 7.0))
    history.seen += [Seen("member-A.1", 0, offset, values[offset], 8.0) for offset in (2, 3)]
    history.keyed = [
        Keyed(b"a", b"a1", Outcome.OK, 0),
        Keyed(b"b", b"b1", Outcome.OK, 1),
        Keyed(b"a", b"a2", Outcome.OK, 2),
        Keyed(b"b", None, Outcome.OK, 3),
        Keyed(b"c", b"c1", Outcome.UNSURE),
    ]
    history.kept = {"broker-1": [(2, b"a", b"a2")], "broker-2": [(2, b"a", b"a2"), (3, b"b", None), (4, b"c", b"c1")]}
    history.seen.append(Seen("member-B.1", 0, 1, values[1], 6.0))
    history.assigned.append(Assigned("member-B.1", 0, 1, 5.0))
    history.seen.append(Seen("member-C.1", 0, 0, values[0], 4.0))
    history.assigned.append(Assigned("member-C.1", 0, 0, 3.0))
    return history


def kinds(history: History) -> set[Kind]:
    return {violation.kind for violation in check(history)}


def test_a_clean_history_passes() -> None:
    assert check(clean()) == []


def lose_the_end(history: History) -> None:
    for log in history.final[0].values():
        del log[3:]


def lose_on_one_replica(history: History) -> None:
    history.final[0]["broker-2"][1] = (1, b"q-1")


def lose_without_a_known_offset(history: History) -> None:
    history.writes[3].offset = -1
    lose_the_end(history)


def end_early_on_one_replica(history: History) -> None:
    del history.final[0]["broker-2"][4:]


def read_another_value(history: History) -> None:
    history.seen.append(Seen("consumer-1", 0, 0, b"q-1", 1.0))


def hold_another_value_for_a_while(history: History) -> None:
    history.seen.append(Seen("broker-2", 0, 3, b"q-1", 1.0))


def acknowledge_at_one_offset_twice(history: History) -> None:
    history.writes[1].offset = 0


def store_twice(history: History) -> None:
    for log in history.final[0].values():
        log.append((5, b"p-3"))


def swap_in_the_log(history: History) -> None:
    for log in history.final[0].values():
        log[1:3] = [(1, b"p-2"), (2, b"p-1")]


def read_backwards(history: History) -> None:
    history.seen.append(Seen("consumer-0", 0, 2, b"p-2", 10.0))


def skip(history: History) -> None:
    del history.seen[1]


def leave_a_gap(history: History) -> None:
    for log in history.final[0].values():
        log[4] = (5, b"q-1")


def read_what_failed(history: History) -> None:
    for log in history.final[0].values():
        log[4] = (4, b"q-0")


def read_what_nobody_sent(history: History) -> None:
    history.seen.append(Seen("consumer-0", 0, 4, b"junk", 10.0))


def end_before_what_was_acknowledged(history: History) -> None:
    history.ends.append(EndOffset(0, 2, 1, 20.0, 20.1))


def end_before_an_end(history: History) -> None:
    history.ends.append(EndOffset(0, 9, 1, 20.0, 20.1))
    history.ends.append(EndOffset(0, 8, 2, 21.0, 21.1))


def commit_and_forget(history: History) -> None:
    history.committed.append(Committed("g", 0, -1, 1, 7.0, 7.1))


def return_to_an_older_commit(history: History) -> None:
    history.committed.append(Committed("g", 0, 4, 1, 7.0, 7.1))
    history.committed.append(Committed("g", 0, 2, 1, 8.0, 8.1))


def commit_what_nobody_committed(history: History) -> None:
    history.committed.append(Committed("g", 0, 3, 1, 7.0, 7.1))


def refuse(history: History) -> None:
    history.trouble.append(Violation(Kind.REFUSED, "a sequence in order"))


def skip_within_an_assignment(history: History) -> None:
    history.seen.append(Seen("member-C.1", 0, 2, b"p-2", 9.0))


def read_twice_within_an_assignment(history: History) -> None:
    history.seen.append(Seen("member-A.1", 0, 3, b"p-3", 9.0))


def begin_behind_what_nobody_read(history: History) -> None:
    history.assigned.append(Assigned("member-D.1", 0, 2, 5.5))


def clean_a_key_away(history: History) -> None:
    history.kept["broker-1"] = []


def clean_the_newest_away(history: History) -> None:
    history.kept["broker-1"] = [(0, b"a", b"a1")]


def bring_back_a_deleted_key(history: History) -> None:
    history.kept["broker-1"].insert(0, (1, b"b", b"b1"))


def change_what_was_compacted(history: History) -> None:
    history.kept["broker-2"][0] = (2, b"c", b"c1")


def keep_what_nobody_sent(history: History) -> None:
    history.kept["broker-1"].append((9, b"d", b"d1"))


def keep_out_of_order(history: History) -> None:
    history.kept["broker-2"][1:] = [(4, b"c", b"c1"), (3, b"b", None)]


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (lose_the_end, Kind.LOST),
        (lose_on_one_replica, Kind.LOST),
        (lose_without_a_known_offset, Kind.LOST),
        (end_early_on_one_replica, Kind.DIVERGED),
        (read_another_value, Kind.DIVERGED),
        (hold_another_value_for_a_while, Kind.DIVERGED),
        (acknowledge_at_one_offset_twice, Kind.DIVERGED),
        (store_twice, Kind.DUPLICATE),
        (swap_in_the_log, Kind.REORDERED),
        (read_backwards, Kind.REORDERED),
        (skip, Kind.SKIPPED),
        (leave_a_gap, Kind.SKIPPED),
        (read_what_failed, Kind.FAILED_BUT_READ),
        (read_what_nobody_sent, Kind.INVENTED),
        (end_before_what_was_acknowledged, Kind.SHRUNK),
        (end_before_an_end, Kind.SHRUNK),
        (commit_and_forget, Kind.COMMIT_WENT_BACK),
        (return_to_an_older_commit, Kind.COMMIT_WENT_BACK),
        (commit_what_nobody_committed, Kind.INVENTED),
        (refuse, Kind.REFUSED),
        (skip_within_an_assignment, Kind.SKIPPED),
        (read_twice_within_an_assignment, Kind.REORDERED),
        (begin_behind_what_nobody_read, Kind.SKIPPED),
        (clean_a_key_away, Kind.LOST),
        (clean_the_newest_away, Kind.LOST),
        (bring_back_a_deleted_key, Kind.LOST),
        (change_what_was_compacted, Kind.DIVERGED),
        (keep_what_nobody_sent, Kind.INVENTED),
        (keep_out_of_order, Kind.REORDERED),
    ],
)
def test_a_planted_violation_is_found(plant: Callable[[History], None], kind: Kind) -> None:
    history = clean()
    plant(history)
    assert kind in kinds(history)


def test_a_key_whose_deletion_is_unsure_may_be_gone() -> None:
    history = clean()
    clean_a_key_away(history)
    history.keyed.append(Keyed(b"a", None, Outcome.UNSURE))
    assert check(history) == []


def test_the_gap_in_availability_is_measured() -> None:
    history = clean()
    assert longest_gap(history, 0) == 1.0
    del history.writes[1]
    assert longest_gap(history, 0) == 2.0


def test_what_a_deposed_leader_still_believes_is_not_held_against_it() -> None:
    history = clean()
    history.ends.append(EndOffset(0, 0, 0, 20.0, 20.1))
    history.committed.append(Committed("g", 0, -1, 0, 20.0, 20.1))
    assert check(history) == []
