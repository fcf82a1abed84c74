"""Plays: topics are deleted, whoever is away meanwhile."""

from __future__ import annotations

from tests.machines.controller_stage import Stage


def test_a_marked_topic_loses_its_replicas_then_its_znodes() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2; 2,1
            ...
        topic orders is marked for deletion
            1,2,3 < UpdateMetadata e1 orders-0 leader -2 epoch 0 isr 1,2; \
                orders-1 leader -2 epoch 0 isr 2,1; alive 1,2,3
            1,2 < StopReplica e1 orders-0 stop epoch -2; orders-1 stop epoch -2
            1,2 < StopReplica e1 orders-0 delete epoch -2; orders-1 delete epoch -2
            zk /brokers/topics/orders is absent
            zk /config/topics/orders is absent
            zk /admin/delete_topics/orders is absent
        topic orders is created on 2,1
            1,2 < LeaderAndIsr e1 orders-0 leader 2 epoch 0 isr 2,1 new
            1,2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 0 isr 2,1; alive 1,2,3
    """)


def test_the_znodes_stay_until_every_broker_has_said_that_the_files_are_gone() -> None:
    stage = Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 2 falls silent
        topic orders is marked for deletion
            ...
    """)
    assert stage.look("/brokers/topics/orders") != "is absent"
    assert stage.controller.machine.context.is_to_be_deleted("orders")
    stage.play("""
        broker 2 speaks again
            zk /brokers/topics/orders is absent
            zk /admin/delete_topics/orders is absent
    """)
    assert not stage.controller.machine.context.is_to_be_deleted("orders")


def test_a_dead_replica_makes_deletion_wait_and_it_resumes_when_the_broker_is_back() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 2 dies
            ...
        topic orders is marked for deletion
            1,3 < UpdateMetadata e1 orders-0 leader -2 epoch 1 isr 1 offline 2; alive 1,3
            1 < StopReplica e1 orders-0 stop epoch -2
            1 < StopReplica e1 orders-0 delete epoch -2
            zk orders-0 leader 1 epoch 1 isr 1 by e1 version 1
            zk /admin/delete_topics/orders is
        broker 2 returns
            open 2 at host2:9092
            1,3 < UpdateMetadata e1 alive 1,2,3
            2,1,2,3 < UpdateMetadata e1 orders-0 leader -2 epoch 1 isr 1; alive 1,2,3
            2 < StopReplica e1 orders-0 stop epoch -2
            2 < StopReplica e1 orders-0 delete epoch -2
            zk /brokers/topics/orders is absent
            zk /admin/delete_topics/orders is absent
    """)


def test_a_broker_that_dies_while_deleting_and_a_controller_that_dies_too_only_delay_it() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 2 falls silent
        topic orders is marked for deletion
            ...
        broker 2 dies
            close 2
            1,3 < UpdateMetadata e1 alive 1,3
        broker 3 dies
        broker 1 stands
            open 1 at host1:9091
            1 < UpdateMetadata e2 alive 1
            in 5 s: AutoRebalance
            zk orders-0 leader 1 epoch 0 isr 1,2 by e1 version 0
        broker 2 speaks again
        broker 2 returns
            open 2 at host2:9092
            1 < UpdateMetadata e2 alive 1,2
            2,1,2 < UpdateMetadata e2 orders-0 leader -2 epoch 0 isr 1,2; alive 1,2
            1,2 < StopReplica e2 orders-0 stop epoch -2
            1,2 < StopReplica e2 orders-0 delete epoch -2
            zk /brokers/topics/orders is absent
    """)


def test_a_replica_that_fails_to_delete_is_tried_again_when_its_broker_restarts() -> None:
    stage = Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        the disk of broker 2 under orders-0 fails
        topic orders is marked for deletion
            ...
            zk orders-0 leader 1 epoch 0 isr 1,2 by e1 version 0
    """)
    stage.actors[2].bad_disk.clear()
    stage.play("""
        broker 2 bounces
            ...
            zk /brokers/topics/orders is absent
    """)


def test_deletion_that_is_disabled_takes_the_mark_away_and_leaves_the_topic() -> None:
    Stage(delete_topic_enable=False).play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        topic orders is marked for deletion
            zk /admin/delete_topics/orders is absent
            zk orders-0 leader 1 epoch 0 isr 1,2 by e1 version 0
    """)


def test_a_mark_for_a_topic_that_does_not_exist_is_removed_at_once_and_at_failover() -> None:
    Stage().play("""
        topic ghost is marked for deletion
        broker 3 stands
            ...
            zk /admin/delete_topics/ghost is absent
        topic ghost is marked for deletion
            zk /admin/delete_topics/ghost is absent
    """)


def test_partitions_added_to_a_topic_that_is_to_be_deleted_are_taken_away_again() -> None:
    stage = Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 2 dies
            ...
        topic orders is marked for deletion
            ...
        topic orders grows by 1,3
    """)
    assert '"partitions":{"0":[1,2]}' in stage.look("/brokers/topics/orders")


def test_znodes_that_are_missing_or_strange_do_not_stop_deletion() -> None:
    stage = Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2; 2,1
            ...
        somebody removes /config/topics/orders
    """)
    stage.put("/brokers/topics/orders/partitions/7")
    stage.play("""
        topic orders is marked for deletion
            ...
            zk /brokers/topics/orders is absent
            zk /admin/delete_topics/orders is absent
    """)


def test_a_topic_with_more_partitions_than_fit_one_multi_is_made_and_deleted() -> None:
    stage = Stage().play(f"""
        broker 3 stands
            ...
        topic orders is created on {"; ".join(["1,2"] * 120)}
            ...
            zk orders-119 leader 1 epoch 0 isr 1,2 by e1 version 0
        topic orders is marked for deletion
            ...
            zk /brokers/topics/orders is absent
            zk /admin/delete_topics/orders is absent
    """)
    assert not stage.controller.machine.context.replica_states
    assert not stage.controller.machine.context.partition_states
    assert not stage.controller.machine.context.leadership


def test_an_isr_proposed_for_a_topic_that_is_gone_is_refused() -> None:
    Stage().play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        topic orders is marked for deletion
            ...
        leader 1 proposes orders-0 isr 1 epoch 0 version 0
            reply UNKNOWN_TOPIC_ID
        elect preferred orders-0
            reply orders-0 UNKNOWN_TOPIC_OR_PARTITION
    """)
