"""Plays: brokers die, return, bounce, stop, and lose a disk."""

from __future__ import annotations

from tests.machines.controller_stage import Stage


def test_a_dead_leader_is_replaced_and_a_dead_follower_leaves_the_isr() -> None:
    Stage().play("""
        broker 1 stands
            ...
        topic orders is created on 1,2,3; 2,3,1
            ...
        broker 2 dies
            close 2
            1,3 < LeaderAndIsr e1 orders-1 leader 3 epoch 1 isr 3,1
            1,3 < UpdateMetadata e1 orders-1 leader 3 epoch 1 isr 3,1 offline 2; alive 1,3
            1,3 < LeaderAndIsr e1 orders-0 leader 1 epoch 1 isr 1,3
            1,3 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1,3 offline 2; \
                orders-1 leader 3 epoch 1 isr 3,1 offline 2; alive 1,3
            zk orders-0 leader 1 epoch 1 isr 1,3 by e1 version 1
            zk orders-1 leader 3 epoch 1 isr 3,1 by e1 version 1
    """)


def test_a_broker_that_returns_hears_of_everything_and_follows() -> None:
    Stage().play("""
        broker 1 stands
            ...
        topic orders is created on 1,2
            ...
        topic pay is created on 3
            ...
        broker 2 dies
            ...
        broker 2 returns
            open 2 at host2:9092
            1,3 < UpdateMetadata e1 alive 1,2,3
            2 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1; pay-0 leader 3 epoch 0 isr 3; alive 1,2,3
            2 < LeaderAndIsr e1 orders-0 leader 1 epoch 1 isr 1
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1; alive 1,2,3
    """)


def test_the_last_in_sync_replica_stays_in_the_isr_and_leads_again_when_it_is_back() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 2 dies
            ...
        broker 1 dies
            close 1
            3 < UpdateMetadata e1 orders-0 leader -1 epoch 2 isr 1 offline 1,2; alive 3
            zk orders-0 leader -1 epoch 2 isr 1 by e1 version 2
        # broker 2 lacks records that were acknowledged after it left the ISR: it does not lead
        broker 2 returns
            ...
            zk orders-0 leader -1 epoch 2 isr 1 by e1 version 2
        broker 1 returns
            open 1 at host1:9091
            2,3 < UpdateMetadata e1 alive 1,2,3
            1 < UpdateMetadata e1 orders-0 leader -1 epoch 2 isr 1; alive 1,2,3
            1 < LeaderAndIsr e1 orders-0 leader -1 epoch 2 isr 1
            1,2,3 < UpdateMetadata e1 orders-0 leader -1 epoch 2 isr 1; alive 1,2,3
            1,2 < LeaderAndIsr e1 orders-0 leader 1 epoch 3 isr 1
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 3 isr 1; alive 1,2,3
    """)


def test_replicas_that_die_together_both_stay_in_the_isr_and_either_may_lead() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        brokers 1 and 2 die
            close 1
            close 2
            3 < UpdateMetadata e1 orders-0 leader -1 epoch 1 isr 1,2 offline 1,2; alive 3
        broker 2 returns
            ...
            zk orders-0 leader 2 epoch 2 isr 2 by e1 version 2
    """)


def test_where_the_topic_allows_it_a_replica_out_of_sync_leads_and_is_said_to_recover() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 2 dies
            ...
        topic orders allows unclean elections
        broker 1 dies
            ...
        broker 2 returns
            open 2 at host2:9092
            3 < UpdateMetadata e1 alive 2,3
            2 < UpdateMetadata e1 orders-0 leader -1 epoch 2 isr 1 offline 1; alive 2,3
            2 < LeaderAndIsr e1 orders-0 leader -1 epoch 2 isr 1
            2,3 < UpdateMetadata e1 orders-0 leader -1 epoch 2 isr 1 offline 1; alive 2,3
            2 < LeaderAndIsr e1 orders-0 leader 2 epoch 3 isr 2 recovering
            2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 3 isr 2 offline 1; alive 2,3
            zk orders-0 leader 2 epoch 3 isr 2 by e1 version 3 recovering
        leader 2 proposes orders-0 isr 2 epoch 3 version 3
            reply NONE isr 2 epoch 3 version 4
            2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 3 isr 2 offline 1; alive 2,3
            zk orders-0 leader 2 epoch 3 isr 2 by e1 version 4
    """)


def test_allowing_unclean_elections_elects_at_once_where_there_is_no_leader() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 2 dies
            ...
        broker 1 dies
            ...
        broker 2 returns
            ...
        topic orders allows unclean elections
            2 < LeaderAndIsr e1 orders-0 leader 2 epoch 3 isr 2 recovering
            2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 3 isr 2 offline 1; alive 2,3
    """)


def test_the_brokers_default_may_allow_unclean_elections_too_and_2_6_knows_no_recovery() -> None:
    Stage(unclean_leader_election_enable=True, ibp="2.6").play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 2 dies
            ...
        broker 1 dies
            ...
        broker 2 returns
            ...
            zk orders-0 leader 2 epoch 3 isr 2 by e1 version 3
    """)


def test_a_bounced_broker_counts_as_dead_and_new() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        controller 3 pauses
        broker 1 bounces
        controller 3 resumes
            close 1
            2 < LeaderAndIsr e1 orders-0 leader 2 epoch 1 isr 2
            2,3,2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 1 isr 2 offline 1; alive 2,3
            open 1 at host1:9091
            2,3 < UpdateMetadata e1 alive 1,2,3
            1 < UpdateMetadata e1 orders-0 leader 2 epoch 1 isr 2; alive 1,2,3
            1 < LeaderAndIsr e1 orders-0 leader 2 epoch 1 isr 2
            1,2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 1 isr 2; alive 1,2,3
    """)


def test_requests_carry_the_epoch_of_the_brokers_present_life() -> None:
    stage = Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
    """)
    first = stage.epoch_of(1)
    stage.play("""
        broker 1 bounces
            ...
    """)
    epochs = {send.request.broker_epoch for send in stage.sent if send.broker == 1}
    assert epochs == {first, stage.epoch_of(1)}
    assert first < stage.epoch_of(1)


def test_a_controlled_shutdown_moves_leadership_before_the_broker_goes() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2; 2,1; 1
            ...
        broker 1 asks to stop
            1,2 < LeaderAndIsr e1 orders-0 leader 2 epoch 1 isr 2
            1,2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 1 isr 2 offline 1; alive 1,2,3
            2 < LeaderAndIsr e1 orders-1 leader 2 epoch 1 isr 2
            1,2,3 < UpdateMetadata e1 orders-1 leader 2 epoch 1 isr 2 offline 1; alive 1,2,3
            1 < StopReplica e1 orders-1 stop epoch 1
            reply still leads -
        # its going is news only for the partition that nobody else has
        broker 1 dies
            close 1
            2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 1 isr 2 offline 1; \
                orders-1 leader 2 epoch 1 isr 2 offline 1; orders-2 leader -1 epoch 1 isr 1 offline 1; alive 2,3
    """)


def test_a_broker_that_alone_is_in_sync_is_told_what_it_still_leads() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 2 dies
            ...
        broker 1 asks to stop
            reply still leads orders-0
            zk orders-0 leader 1 epoch 1 isr 1 by e1 version 1
        broker 1 asks to stop with an old epoch
            reply STALE_BROKER_EPOCH
        broker 7 asks to stop
            reply BROKER_NOT_AVAILABLE
    """)


def test_new_endpoints_are_told_to_everybody_and_used() -> None:
    Stage().play("""
        broker 3 stands
            ...
        broker 2 moves to elsewhere
            open 2 at elsewhere:9000
            1,2,3 < UpdateMetadata e1 alive 1,2,3
    """)


def test_a_failed_log_dir_costs_only_the_replicas_that_are_on_it() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        topic pay is created on 1,2
            ...
        the disk of broker 1 under orders-0 fails
        broker 1 reports a failed log dir
            1 < LeaderAndIsr e1 orders-0 leader 1 epoch 0 isr 1,2; pay-0 leader 1 epoch 0 isr 1,2
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 0 isr 1,2; pay-0 leader 1 epoch 0 isr 1,2; alive 1,2,3
            2 < LeaderAndIsr e1 orders-0 leader 2 epoch 1 isr 2
            1,2,3,1,2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 1 isr 2 offline 1; alive 1,2,3
            1 < StopReplica e1 orders-0 stop epoch 1
            zk orders-0 leader 2 epoch 1 isr 2 by e1 version 1
            zk pay-0 leader 1 epoch 0 isr 1,2 by e1 version 0
            zk /log_dir_event_notification/log_dir_event_0000000000 is absent
    """)


def test_leader_epochs_never_go_back_whatever_happens() -> None:
    stage = Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2,3; 2,3,1
            ...
        broker 1 dies
            ...
        broker 1 returns
            ...
        broker 2 bounces
            ...
        broker 3 dies
            ...
        broker 3 returns
            ...
        brokers 1 and 2 die
            ...
        broker 2 returns
            ...
    """)
    seen: dict[tuple[int, str, int], int] = {}
    for send in stage.sent:
        for topic in send.request.topic_states:
            for it in topic.partition_states:
                key = (send.broker, topic.topic_name, it.partition_index)
                assert it.leader_epoch >= seen.get(key, 0)
                seen[key] = it.leader_epoch
    assert len(seen) == 6
    assert min(seen.values()) >= 3
