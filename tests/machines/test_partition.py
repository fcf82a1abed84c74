"""The partition machine, told as plays: commitment, the ISR and its pending changes, epochs, minimum ISR."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.replication.partition import HighWatermark, Partition, Role, Rules
from broker.wire.messages.leader_and_isr import LeaderAndIsrPartitionState
from tests.machines.partition_play import Play


def test_a_record_is_committed_when_the_slowest_in_sync_replica_has_fetched_past_it() -> None:
    Play().perform(
        """
        broker 1 leads epoch 5 isr 1 2 3 from 0   -> epoch 5 begins at 0
        2 fetches 0
        3 fetches 0
        append to 10
        2 fetches 10
        | hw 0, reached 10: waits
        3 fetches 4                               -> hw 4
        3 fetches 10                              -> hw 10
        | reached 10: NONE
        """
    )


def test_a_leader_alone_commits_at_once() -> None:
    Play().perform(
        """
        broker 1 leads epoch 1 isr 1 from 0       -> epoch 1 begins at 0
        at 40 append to 7                         -> hw 7
        | reached 7: NONE
        """
    )


def test_a_new_leader_commits_nothing_before_its_followers_have_fetched_in_its_epoch() -> None:
    Play(high_watermark=3).perform(
        """
        broker 1 leads epoch 2 isr 1 2 3 from 8   -> epoch 2 begins at 8
        | hw 3, reached 8: waits
        2 fetches 8
        3 fetches 6                               -> hw 6
        3 fetches 8                               -> hw 8
        """
    )


def test_a_leader_elected_again_keeps_what_it_knows_of_its_followers() -> None:
    Play().perform(
        """
        broker 1 leads epoch 2 isr 1 2 3 from 0   -> epoch 2 begins at 0
        append to 5
        2 fetches 5
        3 fetches 3                               -> hw 3
        broker 1 leads epoch 3 isr 1 2 from 5     -> epoch 3 begins at 5, hw 5
        3 fetches 5                               -> expand to 1 2 3
        """
    )


def test_a_pending_expansion_holds_the_high_watermark_and_only_the_committed_isr_counts_as_minimum() -> None:
    play = Play(min_isr=2)
    play.perform(
        """
        broker 1 leads epoch 1 isr 1 from 0       -> epoch 1 begins at 0
        at 60 append to 5
        2 fetches 5                               -> expand to 1 2
        | isr 1, maximal 1 2, pending 1 2, hw 0
        admit -1                                  -> NOT_ENOUGH_REPLICAS
        admit 1
        accept 1 version 101                      -> isr 1 2, hw 5
        admit -1
        append to 8
        | hw 5
        2 fetches 8                               -> hw 8
        """
    )


def test_until_a_shrink_is_answered_the_high_watermark_waits_for_whoever_may_still_be_in_sync() -> None:
    Play().perform(
        """
        broker 1 leads epoch 1 isr 1 2 3 from 0   -> epoch 1 begins at 0
        2 fetches 0
        3 fetches 0
        append to 10
        at 31 2 fetches 10
        at 31 shrink                              -> shrink to 1 2
        | maximal 1 2 3, hw 0, reached 10: waits
        at 32 shrink
        accept 1 version 101                      -> isr 1 2, hw 10
        | reached 10: NONE, pending nothing
        """
    )


def test_a_follower_that_keeps_up_under_continuous_writes_stays_in_sync() -> None:
    Play().perform(
        """
        broker 1 leads epoch 1 isr 1 2 from 0     -> epoch 1 begins at 0
        append to 10
        at 20 2 fetches 0
        at 25 append to 20
        at 29 2 fetches 10                        -> hw 10
        at 45 append to 30
        at 49 2 fetches 20                        -> hw 20
        at 58 shrink
        at 60 shrink                              -> shrink to 1
        """
    )


def test_a_refused_proposal_returns_to_the_committed_isr_and_may_be_made_again() -> None:
    Play().perform(
        """
        broker 1 leads epoch 1 isr 1 from 0       -> epoch 1 begins at 0
        at 60 2 fetches 0                         -> expand to 1 2
        append to 5
        | hw 0
        refuse 1
        | pending nothing, maximal 1, hw 0
        2 dies
        append to 6                               -> hw 6
        refuse 1
        """
    )


def test_who_was_about_to_join_is_waited_for_no_longer_than_it_lives() -> None:
    Play().perform(
        """
        broker 1 leads epoch 1 isr 1 2 from 0     -> epoch 1 begins at 0
        2 fetches 0
        3 fetches 0                               -> expand to 1 2 3
        append to 10
        2 fetches 10
        refuse 1                                  # it is shutting down, and has not left yet
        | hw 0, maximal 1 2, reached 10: waits
        reconsider
        3 dies
        | reached 10: waits
        reconsider                                -> hw 10
        """
    )


def test_a_dead_broker_is_not_proposed() -> None:
    Play().perform(
        """
        broker 1 leads epoch 1 isr 1 from 0       -> epoch 1 begins at 0
        3 dies
        3 fetches 0
        | pending nothing
        """
    )


def test_a_follower_below_the_start_of_the_leaders_epoch_does_not_join() -> None:
    Play(high_watermark=2).perform(
        """
        broker 1 leads epoch 4 isr 1 3 from 9     -> epoch 4 begins at 9
        2 fetches 5
        | pending nothing
        2 fetches 9                               -> expand to 1 3 2
        """
    )


def test_the_answer_to_a_proposal_that_a_newer_leader_and_isr_overtook_changes_nothing() -> None:
    Play().perform(
        """
        broker 1 leads epoch 1 isr 1 from 0       -> epoch 1 begins at 0
        2 fetches 0                               -> expand to 1 2
        broker 1 leads epoch 2 isr 1 3 from 0     -> epoch 2 begins at 0
        accept 1 version 101
        refuse 1
        | isr 1 3, maximal 1 3
        """
    )


def test_an_accepted_proposal_of_an_older_partition_epoch_is_ignored() -> None:
    Play().perform(
        """
        broker 1 leads epoch 1 isr 1 from 0       -> epoch 1 begins at 0
        2 fetches 0                               -> expand to 1 2
        accept 1 version 99
        | isr 1, maximal 1 2, pending 1 2
        """
    )


def test_below_the_minimum_isr_the_high_watermark_stands_still_in_3_9() -> None:
    play = Play(min_isr=2)
    play.perform(
        """
        broker 1 leads epoch 1 isr 1 2 from 0     -> epoch 1 begins at 0
        2 fetches 0
        append to 5
        at 40 shrink                              -> shrink to 1
        accept 1 version 101                      -> isr 1
        | hw 0, reached 5: waits
        admit 1
        admit -1                                  -> NOT_ENOUGH_REPLICAS
        2 fetches 5                               -> expand to 1 2
        | hw 0
        accept 2 version 102                      -> isr 1 2, hw 5
        | reached 5: NONE
        """
    )


def test_in_2_6_a_shrink_below_the_minimum_ends_a_waiting_produce_as_not_enough_after_append() -> None:
    Play(gated=False, min_isr=2).perform(
        """
        broker 1 leads epoch 1 isr 1 2 from 0     -> epoch 1 begins at 0
        2 fetches 0
        append to 5
        at 40 shrink                              -> shrink to 1
        accept 1 version 101                      -> isr 1, hw 5
        | reached 5: NOT_ENOUGH_REPLICAS_AFTER_APPEND
        """
    )


def test_a_minimum_above_the_number_of_replicas_is_capped_in_3_9_and_raw_in_2_6() -> None:
    story = """
        broker 1 leads epoch 1 isr 1 2 3 from 0   -> epoch 1 begins at 0
        min isr 4
        admit -1                                  {}
        """
    Play().perform(story.format(""))
    Play(gated=False).perform(story.format("-> NOT_ENOUGH_REPLICAS"))


def test_a_zombie_leaders_epoch_is_refused_whoever_speaks_it() -> None:
    Play().perform(
        """
        broker 1 leads epoch 5 isr 1 2 from 0     -> epoch 5 begins at 0
        broker 2 follows epoch 4 isr 2 3          -> illegal
        broker 1 leads epoch 5 isr 1 from 0       -> illegal
        admit -1 5
        admit -1 4                                -> FENCED_LEADER_EPOCH
        admit 1 6                                 -> UNKNOWN_LEADER_EPOCH
        """
    )


def test_losing_leadership_releases_those_who_wait_and_serves_no_more() -> None:
    Play().perform(
        """
        broker 1 leads epoch 5 isr 1 2 from 0     -> epoch 5 begins at 0
        append to 4
        broker 2 follows epoch 6 isr 2            -> deposed
        | reached 4: NOT_LEADER_OR_FOLLOWER
        admit 1                                   -> NOT_LEADER_OR_FOLLOWER
        append to 9                               -> illegal
        2 fetches 4                               -> illegal
        shrink                                    -> illegal
        """
    )


def test_a_follower_learns_the_high_watermark_within_its_own_log_and_never_back() -> None:
    Play().perform(
        """
        broker 2 follows epoch 3 isr 2 1
        learn 10 end 6                            -> hw 6
        learn 10 end 12                           -> hw 10
        learn 4 end 12
        | hw 10
        truncated to 8
        | hw 8
        """
    )


def test_a_stopped_replica_keeps_its_epoch_so_that_older_requests_stay_refused() -> None:
    Play().perform(
        """
        broker 1 leads epoch 5 isr 1 2 from 0     -> epoch 5 begins at 0
        stop                                      -> deposed
        admit 1                                   -> NOT_LEADER_OR_FOLLOWER
        broker 1 leads epoch 5 isr 1 from 0       -> illegal
        broker 1 leads epoch 7 isr 1 from 0       -> epoch 7 begins at 0
        """
    )


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5)),
        st.tuples(st.just("fetch"), st.sampled_from([2, 3]), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("shrink")),
        st.tuples(st.just("accept")),
        st.tuples(st.just("refuse")),
        st.tuples(st.just("lead"), st.sets(st.sampled_from([2, 3]))),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_whatever_happens_the_high_watermark_never_goes_back_and_never_passes_an_in_sync_replica(events: list) -> None:  # type: ignore[type-arg]
    partition = Partition("t", 0, Rules(1, 30.0, True, lambda _: True), lambda: 1)
    now, version = 0.0, 1
    ends = {2: 0, 3: 0}

    def lead(isr: list[int]) -> None:
        epoch = partition.leader_epoch + 1
        state = LeaderAndIsrPartitionState(leader=1, leader_epoch=epoch, isr=isr, partition_epoch=version)
        state.replicas = [1, 2, 3]
        partition.lead(state, partition.end, now)

    lead([1, 2, 3])
    for kind, *values in events:
        before, effects = partition.high_watermark, ()
        if kind == "append":
            effects = partition.appended(partition.end + values[0], now)
        elif kind == "fetch":
            ends[values[0]] = min(ends[values[0]] + values[1], partition.end)
            effects = partition.follower_fetched(values[0], ends[values[0]], 0, partition.end, now)
        elif kind == "wait":
            now += values[0]
        elif kind == "shrink":
            effects = partition.shrink(now)
        elif kind == "lead":
            held = [1, *sorted(replica for replica in values[0] if ends[replica] >= before)]
            version += 1
            lead(held)
        elif partition.pending is not None and kind == "accept":
            version += 1
            proposal = partition.pending
            effects = partition.isr_accepted(proposal, partition.leader_epoch, proposal.isr, version, now)
        elif partition.pending is not None:
            effects = partition.isr_refused(partition.pending, now)
        assert partition.role is Role.LEADER
        assert partition.high_watermark >= before
        moved = [effect.offset for effect in effects if isinstance(effect, HighWatermark)]
        assert moved == ([partition.high_watermark] if partition.high_watermark > before and kind != "lead" else [])
        for replica in partition.maximal_isr:
            if replica != 1:
                assert partition.high_watermark <= ends[replica]
