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
    history.digests[0] = {"broker-1": 5, "broker-2": 5}
    history.commits.append(Commit("g", 0, 2, Outcome.OK, 1, 5.0, 5.1))
    history.commits.append(Commit("g", 0, 4, Outcome.UNSURE, 1, 6.0, 6.1))
    history.committed.append(Committed("g", 0, 2, 1, 5.5, 5.6))
    history.assigned.append(Assigned("member-A.1", 0, 2, 7.0, 3))
    history.seen += [Seen("member-A.1", 0, offset, values[offset], 8.0) for offset in (2, 3)]
    history.keyed = [
        Keyed(b"a", b"a1", Outcome.OK, 0),
        Keyed(b"b", b"b1", Outcome.OK, 1),
        Keyed(b"a", b"a2", Outcome.OK, 2),
        Keyed(b"b", None, Outcome.OK, 3),
        Keyed(b"c", b"c1", Outcome.UNSURE),
    ]
    alike = [(2, b"a", b"a2"), (4, b"c", b"c1")]
    history.kept = {"broker-1": alike, "broker-2": [alike[0], (3, b"b", None), alike[1]]}
    history.seen.append(Seen("member-B.1", 0, 1, values[1], 6.0))
    history.assigned.append(Assigned("member-B.1", 0, 1, 5.0, 2))
    history.seen.append(Seen("member-C.1", 0, 0, values[0], 4.0))
    history.assigned.append(Assigned("member-C.1", 0, 0, 3.0, 1))
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
    history.assigned.append(Assigned("member-D.1", 0, 2, 5.5, 4))


def clean_a_key_away(history: History) -> None:
    for held in history.kept.values():
        del held[0]


def clean_the_newest_away(history: History) -> None:
    history.kept["broker-1"][0] = (0, b"a", b"a1")


def bring_back_a_deleted_key(history: History) -> None:
    history.kept["broker-1"].insert(0, (1, b"b", b"b1"))


def change_what_was_compacted(history: History) -> None:
    history.kept["broker-2"][0] = (2, b"c", b"c1")


def keep_what_nobody_sent(history: History) -> None:
    history.kept["broker-1"].append((9, b"d", b"d1"))


def keep_out_of_order(history: History) -> None:
    history.kept["broker-2"][1:] = [(4, b"c", b"c1"), (3, b"b", None)]


def lose_what_was_only_read(history: History) -> None:
    history.writes.append(Write("q", 0, 2, b"q-2", False, 4.3))
    history.seen.append(Seen("consumer-0", 0, 4, b"q-1", 10.0))
    history.seen.append(Seen("consumer-0", 0, 5, b"q-2", 10.0))


def end_below_what_was_told(history: History) -> None:
    history.ends.append(EndOffset(0, 6, 1, 20.0, 20.1))


def hold_nothing_anywhere(history: History) -> None:
    del history.final[0]


def store_twice_what_is_not_idempotent(history: History) -> None:
    for log in history.final[0].values():
        log.append((5, b"q-1"))


def differ_in_a_header(history: History) -> None:
    history.digests[0]["broker-2"] = 6


def take_a_commit_that_was_refused(history: History) -> None:
    history.commits.append(Commit("g", 0, 3, Outcome.FAILED, 1, 6.2, 6.3))
    history.committed.append(Committed("g", 0, 3, 1, 7.0, 7.1))


def assign_one_partition_twice(history: History) -> None:
    history.assigned.append(Assigned("member-B.2", 0, 1, 7.5, 3))


def compact_two_records_of_which_nobody_knows(history: History) -> None:
    history.keyed.append(Keyed(b"d", b"d1", Outcome.UNSURE))
    history.kept["broker-1"][1] = (4, b"d", b"d1")


def keep_the_last_record_on_one_replica_only(history: History) -> None:
    history.keyed.append(Keyed(b"a", b"a3", Outcome.UNSURE))
    history.kept["broker-1"].append((5, b"a", b"a3"))


def acknowledge_keyed_records_out_of_order(history: History) -> None:
    history.keyed[0].offset, history.keyed[1].offset = 1, 0


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
        (lose_what_was_only_read, Kind.LOST),
        (end_below_what_was_told, Kind.SHRUNK),
        (hold_nothing_anywhere, Kind.LOST),
        (store_twice_what_is_not_idempotent, Kind.DUPLICATE),
        (differ_in_a_header, Kind.DIVERGED),
        (take_a_commit_that_was_refused, Kind.INVENTED),
        (assign_one_partition_twice, Kind.ASSIGNED_TWICE),
        (compact_two_records_of_which_nobody_knows, Kind.DIVERGED),
        (keep_the_last_record_on_one_replica_only, Kind.DIVERGED),
        (acknowledge_keyed_records_out_of_order, Kind.REORDERED),
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
    history.writes.append(Write("q", 0, 2, b"q-2", False, 30.0))
    assert longest_gap(history, 0) == 26.5, "nothing was acknowledged until the end"


def test_what_a_deposed_leader_still_believes_is_not_held_against_it() -> None:
    history = clean()
    history.ends.append(EndOffset(0, 0, 0, 20.0, 20.1))
    history.committed.append(Committed("g", 0, -1, 0, 20.0, 20.1))
    assert check(history) == []
