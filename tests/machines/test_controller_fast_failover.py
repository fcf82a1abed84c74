"""Plays: brokers that refuse connections while they are registered, and controllers that do."""

from __future__ import annotations

from tests.machines.controller_stage import Stage


def test_a_leader_that_refuses_connections_is_replaced_while_it_is_registered() -> None:
    Stage().play("""
        broker 1 stands
            ...
        topic orders is created on 2,3,1
            ...
        broker 2 refuses connections
            close 2
            1,3 < LeaderAndIsr e1 orders-0 leader 3 epoch 1 isr 3,1
            1,3,1,3 < UpdateMetadata e1 orders-0 leader 3 epoch 1 isr 3,1 offline 2; alive 1,3
            open 2 at host2:9092
            2 < UpdateMetadata e1 alive 1,3
            zk orders-0 leader 3 epoch 1 isr 3,1 by e1 version 1
        # told again, it is nothing new
        broker 2 refuses connections
        # its session ends: nothing is left to do
        broker 2 dies
            close 2
            zk orders-0 leader 3 epoch 1 isr 3,1 by e1 version 1
        broker 2 returns
            open 2 at host2:9092
            1,3 < UpdateMetadata e1 alive 1,2,3
            2 < UpdateMetadata e1 orders-0 leader 3 epoch 1 isr 3,1; alive 1,2,3
            2 < LeaderAndIsr e1 orders-0 leader 3 epoch 1 isr 3,1
            1,2,3 < UpdateMetadata e1 orders-0 leader 3 epoch 1 isr 3,1; alive 1,2,3
    """)


def test_a_suspect_that_answers_is_live_again_and_hears_of_everything() -> None:
    Stage().play("""
        broker 1 stands
            ...
        topic orders is created on 2,3
            ...
        broker 2 refuses connections
            ...
        broker 2 answers
            1,3 < UpdateMetadata e1 alive 1,2,3
            2 < UpdateMetadata e1 orders-0 leader 3 epoch 1 isr 3; alive 1,2,3
            2 < LeaderAndIsr e1 orders-0 leader 3 epoch 1 isr 3
            1,2,3 < UpdateMetadata e1 orders-0 leader 3 epoch 1 isr 3; alive 1,2,3
        # and is in the ISR again once its leader says so
        leader 3 proposes orders-0 isr 3,2 epoch 1 version 1
            reply NONE isr 3,2 epoch 1 version 2
            1,2,3 < UpdateMetadata e1 orders-0 leader 3 epoch 1 isr 3,2; alive 1,2,3
    """)


def test_a_process_that_was_started_anew_does_not_answer_for_the_one_that_was_suspected() -> None:
    Stage().play("""
        broker 1 stands
            ...
        topic orders is created on 2,3
            ...
        broker 2 refuses connections
            ...
        broker 2 answers with STALE_BROKER_EPOCH
        broker 2 bounces
            close 2
            open 2 at host2:9092
            1,3 < UpdateMetadata e1 alive 1,2,3
            2 < UpdateMetadata e1 orders-0 leader 3 epoch 1 isr 3; alive 1,2,3
            2 < LeaderAndIsr e1 orders-0 leader 3 epoch 1 isr 3
            1,2,3 < UpdateMetadata e1 orders-0 leader 3 epoch 1 isr 3; alive 1,2,3
    """)


def test_what_was_observed_of_an_earlier_life_or_of_the_controller_itself_says_nothing() -> None:
    Stage().play("""
        broker 1 stands
            ...
        topic orders is created on 2,3
            ...
        broker 2 had refused connections in its last life
        broker 1 refuses connections
            zk orders-0 leader 2 epoch 0 isr 2,3 by e1 version 0
    """)


def test_a_suspect_enters_no_isr_and_its_own_proposals_are_refused() -> None:
    Stage().play("""
        broker 1 stands
            ...
        topic orders is created on 2,3
            ...
        broker 2 refuses connections
            ...
        leader 3 proposes orders-0 isr 3,2 epoch 1 version 1
            reply INELIGIBLE_REPLICA
        leader 2 proposes orders-0 isr 2 epoch 0 version 0
            reply STALE_BROKER_EPOCH
            zk orders-0 leader 3 epoch 1 isr 3 by e1 version 1
    """)


def test_a_suspect_that_alone_is_in_sync_stays_so_and_leads_again_when_it_answers() -> None:
    Stage().play("""
        broker 1 stands
            ...
        topic orders is created on 2
            ...
        broker 2 refuses connections
            ...
            zk orders-0 leader -1 epoch 1 isr 2 by e1 version 1
        broker 2 answers
            ...
            zk orders-0 leader 2 epoch 2 isr 2 by e1 version 2
    """)


def test_an_unclean_election_waits_until_a_suspect_is_surely_gone() -> None:
    Stage(unclean_leader_election_enable=True).play("""
        broker 1 stands
            ...
        topic orders is created on 2,3
            ...
        broker 3 dies
            ...
        broker 3 returns
            ...
        broker 2 refuses connections
            ...
            zk orders-0 leader -1 epoch 2 isr 2 by e1 version 2
        broker 2 dies
            ...
            zk orders-0 leader 3 epoch 3 isr 3 by e1 version 3 recovering
    """)


def test_the_operator_may_elect_uncleanly_while_the_only_one_in_sync_is_suspected() -> None:
    Stage().play("""
        broker 1 stands
            ...
        topic orders is created on 2,3
            ...
        broker 3 dies
            ...
        broker 3 returns
            ...
        broker 2 refuses connections
            ...
        elect unclean orders-0
            ...
            zk orders-0 leader 3 epoch 3 isr 3 by e1 version 3 recovering
    """)


def test_a_suspect_that_moves_its_listener_is_asked_there() -> None:
    Stage().play("""
        broker 1 stands
            ...
        broker 2 refuses connections
            ...
        broker 2 moves to elsewhere
            open 2 at elsewhere:9000
            1,3 < UpdateMetadata e1 alive 1,3
        broker 2 answers
            ...
        topic orders is created on 2
            ...
            zk orders-0 leader 2 epoch 0 isr 2 by e1 version 0
    """)


def test_a_killed_controller_is_deposed_and_what_it_led_moves_at_the_takeover() -> None:
    Stage().play("""
        broker 1 stands
            ...
        broker 2 stands
        broker 3 stands
        topic orders is created on 1,2,3
            ...
        broker 1 is killed and stays registered
        broker 2 finds the controller gone
            open 1 at host1:9091
            1 < UpdateMetadata e2 alive 2,3
            open 2 at host2:9092
            open 3 at host3:9093
            2,3 < UpdateMetadata e2 alive 2,3
            2,3 < LeaderAndIsr e2 orders-0 leader 1 epoch 0 isr 1,2,3
            2,3 < UpdateMetadata e2 orders-0 leader 1 epoch 0 isr 1,2,3 offline 1; alive 2,3
            2,3 < LeaderAndIsr e2 orders-0 leader -1 epoch 1 isr 2,3
            2,3 < UpdateMetadata e2 orders-0 leader -1 epoch 1 isr 2,3 offline 1; alive 2,3
            2,3 < LeaderAndIsr e2 orders-0 leader 2 epoch 2 isr 2,3
            2,3 < UpdateMetadata e2 orders-0 leader 2 epoch 2 isr 2,3 offline 1; alive 2,3
            in 5 s: AutoRebalance
            zk orders-0 leader 2 epoch 2 isr 2,3 by e2 version 2
    """)


def test_of_several_who_find_the_controller_gone_none_deposes_its_successor() -> None:
    stage = Stage().play("""
        broker 1 stands
            ...
        broker 2 stands
        broker 3 stands
        broker 1 is killed and stays registered
        brokers 2 and 3 find the controller gone
            ...
    """)
    assert [actor.broker for actor in stage.actors.values() if actor.machine.is_active and not actor.is_paused] == [2]
    assert stage.actors[3].machine.controller_id == 2
    assert stage.actors[2].machine.context.epoch == 2


def test_a_controller_that_was_deposed_wrongly_changes_nothing_and_stands_again() -> None:
    stage = Stage().play("""
        broker 1 stands
            ...
        broker 2 stands
        topic orders is created on 1,2
            ...
        controller 1 pauses
        broker 2 finds the controller gone
            ...
            zk orders-0 leader 2 epoch 2 isr 2 by e2 version 2
        # what happens meanwhile is the new controller's; the old one acts on it too, and finds out
        topic pay is created on 1
            ...
        controller 1 resumes
            1 resigns
        broker 1 answers
            ...
            zk pay-0 leader 1 epoch 0 isr 1 by e2 version 0
    """)
    assert stage.actors[1].machine.controller_id == 2


def test_a_controller_that_has_moved_its_listener_is_not_deposed() -> None:
    stage = Stage().play("""
        broker 1 stands
            ...
        broker 2 stands
        controller 1 pauses
        broker 1 moves to elsewhere
        broker 2 finds the controller gone
    """)
    assert stage.actors[2].machine.controller_id == 1
    seen = stage.actors[2].machine.seen
    assert seen is not None and seen.host == "elsewhere"


def test_a_controller_with_another_epoch_than_the_one_observed_is_not_deposed() -> None:
    stage = Stage().play("""
        broker 1 stands
            ...
        broker 2 stands
        broker 3 stands
    """)
    observed = stage.actors[3].machine.seen
    stage.play("""
        controller 3 pauses
        broker 1 bounces
            ...
    """)
    assert (stage.controller.broker, stage.controller.machine.context.epoch) == (1, 2)
    stage.actors[3].machine.seen = observed  # as if it had not looked yet
    stage.actors[3].events.clear()
    stage.play("""
        broker 3 finds the controller gone
        controller 3 resumes
    """)
    assert (stage.controller.broker, stage.controller.machine.context.epoch) == (1, 2)
    assert stage.actors[1].machine.is_active
    assert stage.actors[3].machine.controller_id == 1
