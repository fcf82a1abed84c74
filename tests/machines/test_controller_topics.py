"""Plays: topics are created and grow, and a controller dies in the middle of it."""

from __future__ import annotations

from tests.machines.controller_stage import Stage


def test_a_new_topic_gets_its_first_leaders_in_the_order_of_the_assignment() -> None:
    Stage().play("""
        broker 1 stands
            open 1 at host1:9091
            open 2 at host2:9092
            open 3 at host3:9093
            1,2,3 < UpdateMetadata e1 alive 1,2,3
            in 5 s: AutoRebalance
        topic orders is created on 1,2,3; 2,3
            1 < LeaderAndIsr e1 orders-0 leader 1 epoch 0 isr 1,2,3 new
            2,3 < LeaderAndIsr e1 orders-0 leader 1 epoch 0 isr 1,2,3 new; orders-1 leader 2 epoch 0 isr 2,3 new
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 0 isr 1,2,3; \
                orders-1 leader 2 epoch 0 isr 2,3; alive 1,2,3
            zk orders-0 leader 1 epoch 0 isr 1,2,3 by e1 version 0
            zk orders-1 leader 2 epoch 0 isr 2,3 by e1 version 0
    """)


def test_added_partitions_come_online_beside_the_old_ones() -> None:
    Stage().play("""
        broker 1 stands
            ...
        topic orders is created on 1,2
            ...
        topic orders grows by 2,3; 3,1
            1 < LeaderAndIsr e1 orders-2 leader 3 epoch 0 isr 3,1 new
            2 < LeaderAndIsr e1 orders-1 leader 2 epoch 0 isr 2,3 new
            3 < LeaderAndIsr e1 orders-1 leader 2 epoch 0 isr 2,3 new; orders-2 leader 3 epoch 0 isr 3,1 new
            1,2,3 < UpdateMetadata e1 orders-1 leader 2 epoch 0 isr 2,3; orders-2 leader 3 epoch 0 isr 3,1; alive 1,2,3
            zk orders-2 leader 3 epoch 0 isr 3,1 by e1 version 0
    """)


def test_a_replica_on_a_dead_broker_joins_the_partition_when_its_broker_comes() -> None:
    Stage().play("""
        broker 3 stands
            ...
        broker 1 dies
            close 1
            2,3 < UpdateMetadata e1 alive 2,3
        topic orders is created on 1,3
            3 < LeaderAndIsr e1 orders-0 leader 3 epoch 0 isr 3 new
            2,3,2,3 < UpdateMetadata e1 orders-0 leader 3 epoch 0 isr 3 offline 1; alive 2,3
        broker 1 returns
            open 1 at host1:9091
            2,3 < UpdateMetadata e1 alive 1,2,3
            1 < UpdateMetadata e1 orders-0 leader 3 epoch 0 isr 3; alive 1,2,3
            1 < LeaderAndIsr e1 orders-0 leader 3 epoch 0 isr 3
            1,2,3 < UpdateMetadata e1 orders-0 leader 3 epoch 0 isr 3; alive 1,2,3
    """)


def test_a_topic_none_of_whose_brokers_lives_waits_for_the_first_of_them() -> None:
    Stage().play("""
        broker 3 stands
            ...
        broker 1 dies
            ...
        topic orders is created on 1
            zk orders-0 is absent
        broker 1 returns
            open 1 at host1:9091
            2,3,1 < UpdateMetadata e1 alive 1,2,3
            1 < LeaderAndIsr e1 orders-0 leader 1 epoch 0 isr 1 new
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 0 isr 1; alive 1,2,3
    """)


def test_the_next_controller_finishes_a_topic_that_was_created_by_half() -> None:
    Stage().play("""
        topic orders is half created on 1,2
        broker 3 stands
            open 1 at host1:9091
            open 2 at host2:9092
            open 3 at host3:9093
            1,2,3 < UpdateMetadata e1 alive 1,2,3
            1,2 < LeaderAndIsr e1 orders-0 leader 1 epoch 0 isr 1,2 new
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 0 isr 1,2; alive 1,2,3
            in 5 s: AutoRebalance
            zk orders-0 leader 1 epoch 0 isr 1,2 by e1 version 0
    """)


def test_a_first_state_whose_reply_was_lost_is_recognised_as_ones_own() -> None:
    Stage().play("""
        broker 3 stands
            ...
        the reply to the next write of /brokers/topics/orders/partitions/0/state will be lost
        topic orders is created on 1,2
            1,2 < LeaderAndIsr e1 orders-0 leader 1 epoch 0 isr 1,2 new
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 0 isr 1,2; alive 1,2,3
    """)


def test_a_topic_that_was_made_without_an_id_is_given_one_and_keeps_it() -> None:
    stage = Stage().play("""
        broker 3 stands
            ...
        topic orders is created without an id on 1,2
            ...
    """)
    given = stage.controller.machine.context.topic_ids["orders"]
    stage.play("""
        topic orders grows by 2,1
            ...
        broker 3 dies
        broker 1 stands
            ...
    """)
    assert stage.controller.broker == 1
    assert stage.controller.machine.context.topic_ids["orders"] == given
    assert all(it.topic_id == given for send in stage.sent for it in getattr(send.request, "topic_states", ()))


def test_at_2_6_topics_have_no_ids_and_the_election_no_new_nodes() -> None:
    stage = Stage(ibp="2.6").play("""
        broker 3 stands
            ...
            zk /feature is absent
        topic orders is created on 1,2
            1,2 < LeaderAndIsr e1 orders-0 leader 1 epoch 0 isr 1,2 new
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 0 isr 1,2; alive 1,2,3
    """)
    assert "topic_id" not in stage.look("/brokers/topics/orders")
    assert '"version":1,' in stage.look("/controller")


def test_a_topic_that_somebody_removed_from_zookeeper_is_forgotten_and_can_be_made_again() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        somebody removes /brokers/topics/orders/partitions/0/state
        somebody removes /brokers/topics/orders/partitions/0
        somebody removes /brokers/topics/orders/partitions
        somebody removes /brokers/topics/orders
        topic orders is created on 2,1
            1,2 < LeaderAndIsr e1 orders-0 leader 2 epoch 0 isr 2,1 new
            1,2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 0 isr 2,1; alive 1,2,3
    """)
