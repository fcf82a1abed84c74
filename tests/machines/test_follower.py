"""The follower machine: finding the way back into the leader's log by epochs (KIP-101, KIP-279, KIP-595)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.replication.follower import Follower, IllegalEvent, Phase
from broker.wire.errors import ErrorCode
from tests.machines.follower_play import ModelLog, Pair

BOTH_WAYS = pytest.mark.parametrize("on_fetch", [True, False], ids=["on-fetch", "by-epoch-request"])


@BOTH_WAYS
def test_kip_101_scenario_1_a_committed_record_above_the_followers_high_watermark_is_not_cut(on_fetch: bool) -> None:
    """The follower restarts before it learnt that b is committed; cutting to its high watermark 1 would lose b."""
    pair = Pair("1a 1b", "1a 1b", high_watermark=1, truncates_on_fetch=on_fetch)
    pair.settle()
    assert str(pair.log) == "1a 1b"
    assert not any("cut" in line for line in pair.story)


@BOTH_WAYS
def test_kip_101_scenario_2_diverging_records_at_the_same_offset_are_replaced(on_fetch: bool) -> None:
    """Both lost power; the other one came back first, led epoch 2 and wrote c where we hold b."""
    pair = Pair("1a 2c", "1a 1b", high_watermark=2, truncates_on_fetch=on_fetch)
    assert "cut to 1" in pair.settle()
    assert str(pair.log) == "1a 2c"


@BOTH_WAYS
def test_kip_279_several_quick_leader_changes_are_unwound_epoch_by_epoch(on_fetch: bool) -> None:
    pair = Pair("1a 1b 2c 5d", "1a 1b 1x 3y 4z", truncates_on_fetch=on_fetch)
    pair.settle()
    assert str(pair.log) == "1a 1b 2c 5d"


def test_the_epoch_request_is_repeated_until_the_leader_answers_with_an_epoch_that_we_know() -> None:
    pair = Pair("1a 2b 2c 5d", "1a 3x 4y", truncates_on_fetch=False)
    assert pair.settle() == ("begin; epoch 4 ends (2, 3): cut to 1; epoch 1 ends (1, 1); fetched 3")


def test_a_fetching_follower_cuts_where_the_diverging_reply_says() -> None:
    pair = Pair("1a 1b 3c", "1a 1b 2x 2y", truncates_on_fetch=True)
    assert pair.settle() == "begin; diverges from (1, 2): cut to 2; fetched 1"


@BOTH_WAYS
def test_a_log_that_knows_no_epochs_falls_back_to_its_high_watermark(on_fetch: bool) -> None:
    log = ModelLog.of("0a 0b 0c")
    log.knows_epochs = False
    pair = Pair("1a 1b 1c", log, high_watermark=2, truncates_on_fetch=on_fetch)
    assert pair.story == ["begin: cut to 2"]
    assert pair.machine.phase is Phase.FETCHING


def test_an_undefined_answer_to_the_epoch_request_falls_back_to_the_high_watermark() -> None:
    leader = ModelLog.of("1a 1b")
    leader.knows_epochs = False
    pair = Pair(leader, "1a 1b 1c", high_watermark=2, truncates_on_fetch=False)
    pair.ask()
    assert pair.story[-1] == "epoch 1 ends (-1, -1): cut to 2"


def test_after_an_unclean_election_the_follower_is_cut_to_the_leaders_shorter_log() -> None:
    pair = Pair("1a", "1a 1b 1c", truncates_on_fetch=False)
    pair.settle()
    assert str(pair.log) == "1a"


def test_out_of_range_above_the_leaders_end_cuts_to_it() -> None:
    leader = ModelLog([])
    leader.knows_epochs = False
    pair = Pair(leader, "1a 1b", truncates_on_fetch=True)
    assert pair.settle() == "begin; out of range; leader ends at 0: cut to 0"


def test_a_follower_behind_the_leaders_log_start_begins_there() -> None:
    leader = ModelLog.of("2x 2y", start=7)
    pair = Pair(leader, "1a 1b")
    assert pair.settle() == "begin; out of range; leader ends at 9; leader starts at 7: restart at 7; fetched 2"
    assert pair.log.start == 7


def test_a_follower_whose_offset_is_refused_though_the_leader_has_it_does_not_ask_at_once_again() -> None:
    """It would do nothing else: its epochs are none that its leader knows."""
    machine = Follower(5, ModelLog.of("1a"), True, backoff=1.0)
    machine.begin(1, 0)
    for _ in range(10):
        machine.refused(ErrorCode.OFFSET_OUT_OF_RANGE, 10.0)
        assert machine.leader_ends_at(3) is None
        assert machine.leader_starts_at(0, 10.0) is None
    assert not machine.is_fetching(10.9)
    assert machine.is_fetching(11.0)


def test_a_fenced_follower_asks_nothing_until_the_next_leader_and_isr() -> None:
    machine = Follower(5, ModelLog.of("1a"), True, backoff=1.0)
    machine.begin(1, 0)
    machine.refused(ErrorCode.FENCED_LEADER_EPOCH, 0.0)
    assert machine.phase is Phase.FAILED
    assert not machine.is_ready(1e9)


@pytest.mark.parametrize(
    "error",
    [
        ErrorCode.UNKNOWN_LEADER_EPOCH,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.UNKNOWN_SERVER_ERROR,
    ],
)
def test_other_errors_make_the_follower_wait_and_ask_the_same_again(error: ErrorCode) -> None:
    machine = Follower(5, ModelLog.of("1a"), True, backoff=1.0)
    machine.begin(1, 0)
    asked = machine.question()
    machine.refused(error, 10.0)
    assert not machine.is_ready(10.01)
    assert machine.is_ready(10.0157)
    assert machine.question() == asked
    for _ in range(9):
        machine.refused(error, 20.0)
    assert not machine.is_ready(20.9)
    assert machine.is_ready(21.0)


def test_an_answer_to_what_would_no_longer_be_asked_is_recognised() -> None:
    log = ModelLog.of("1a")
    machine = Follower(5, log, True, backoff=1.0)
    machine.begin(1, 0)
    asked = machine.question()
    log.records.append((1, "b"))
    machine.at(2)
    assert machine.question() != asked
    assert Follower(6, log, True, backoff=1.0).question() != machine.question()


def test_an_answer_of_another_phase_is_illegal_and_changes_nothing() -> None:
    machine = Follower(5, ModelLog.of("1a"), True, backoff=1.0)
    machine.begin(1, 0)
    before = repr(machine)
    with pytest.raises(IllegalEvent):
        machine.leader_ends_at(0)
    with pytest.raises(IllegalEvent):
        machine.epoch_ended(1, 1, 0)
    assert repr(machine) == before


def _histories() -> st.SearchStrategy[tuple[list[int], list[int], list[int]]]:
    """A common history, and what each side wrote alone after it: epochs ascending, never the same on both sides."""
    epochs = st.lists(st.integers(0, 3), max_size=5)

    def split(common: list[int], ours: list[int], theirs: list[int]) -> tuple[list[int], list[int], list[int]]:
        shared = sorted(common)
        base = (shared[-1] if shared else 0) + 1
        return shared, sorted(base + 2 * each for each in ours), sorted(base + 2 * each + 1 for each in theirs)

    return st.builds(split, epochs, epochs, epochs)


@settings(max_examples=300, deadline=None)
@given(_histories(), st.booleans())
def test_a_follower_always_ends_with_its_leaders_log_and_never_cuts_the_common_history(
    histories: tuple[list[int], list[int], list[int]], on_fetch: bool
) -> None:
    common, ours, theirs = histories
    shared = [(epoch, f"s{at}") for at, epoch in enumerate(common)]
    leader = ModelLog(shared + [(epoch, f"l{at}") for at, epoch in enumerate(theirs)])
    log = ModelLog(shared + [(epoch, f"f{at}") for at, epoch in enumerate(ours)])
    pair = Pair(leader, log, leader_epoch=99, high_watermark=0, truncates_on_fetch=on_fetch)
    least = len(log.records)
    for _ in range(40):
        pair.ask()
        least = min(least, len(log.records))
    assert log.records == leader.records
    if common and ours:
        assert least >= len(common) - common.count(common[-1])
