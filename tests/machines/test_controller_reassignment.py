"""Plays: partitions move to other brokers (KIP-455)."""

from __future__ import annotations

import pytest

from tests.machines.controller_stage import Stage

BEGUN = """
        broker 4 stands
            ...
        broker 3 stands
        topic orders is created on 1,2
            ...
"""


def test_a_partition_moves_when_the_target_is_in_sync_and_leaves_nothing_behind() -> None:
    Stage("1 2 3 4").play(
        BEGUN
        + """
        reassign orders-0 to 2,3
            1,2 < LeaderAndIsr e1 orders-0 leader 1 epoch 1 isr 1,2
            1,2,3,4 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1,2; alive 1,2,3,4
            3 < LeaderAndIsr e1 orders-0 leader 1 epoch 1 isr 1,2 new
            1,2,3,4 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1,2; alive 1,2,3,4
            reply orders-0 NONE
            zk assignment:orders-0 2,3,1 adding 3 removing 1
        list the reassignments
            reply orders-0 2,3,1 adding 3 removing 1
        leader 1 proposes orders-0 isr 1,2,3 epoch 1 version 1
            reply NONE isr 1,2,3 epoch 1 version 2
            1,2,3,4 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1,2,3; alive 1,2,3,4
            2,3 < LeaderAndIsr e1 orders-0 leader 2 epoch 2 isr 1,2,3
            1,2,3,4 < UpdateMetadata e1 orders-0 leader 2 epoch 2 isr 1,2,3; alive 1,2,3,4
            2,3 < LeaderAndIsr e1 orders-0 leader 2 epoch 3 isr 2,3
            1,2,3,4 < UpdateMetadata e1 orders-0 leader 2 epoch 3 isr 2,3; alive 1,2,3,4
            1 < StopReplica e1 orders-0 stop epoch 3
            1 < StopReplica e1 orders-0 delete epoch 3
            1,2,3,4 < UpdateMetadata e1 orders-0 leader 2 epoch 3 isr 2,3; alive 1,2,3,4
            zk assignment:orders-0 2,3 adding - removing -
            zk orders-0 leader 2 epoch 3 isr 2,3 by e1 version 4
        list the reassignments
            reply nothing
        """
    )


def test_a_move_that_is_cancelled_removes_what_was_being_built() -> None:
    Stage("1 2 3 4").play(
        BEGUN
        + """
        reassign orders-0 to 3,4
            ...
        cancel the reassignment of orders-0
            1,2,3,4 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1,2; alive 1,2,3,4
            3,4 < StopReplica e1 orders-0 stop epoch 1
            3,4 < StopReplica e1 orders-0 delete epoch 1
            1,2 < LeaderAndIsr e1 orders-0 leader 1 epoch 2 isr 1,2
            1,2,3,4,1,2,3,4 < UpdateMetadata e1 orders-0 leader 1 epoch 2 isr 1,2; alive 1,2,3,4
            reply orders-0 NONE
            zk assignment:orders-0 1,2 adding - removing -
        cancel the reassignment of orders-0
            reply orders-0 NO_REASSIGNMENT_IN_PROGRESS
        """
    )


def test_a_new_target_replaces_an_unfinished_one() -> None:
    Stage("1 2 3 4").play(
        BEGUN
        + """
        reassign orders-0 to 3,4
            ...
        reassign orders-0 to 1,4
            ...
            zk assignment:orders-0 1,4,2 adding 4 removing 2
        leader 1 proposes orders-0 isr 1,2,4 epoch 2 version 2
            ...
            zk assignment:orders-0 1,4 adding - removing -
            zk orders-0 leader 1 epoch 4 isr 1,4 by e1 version 5
        """
    )


@pytest.mark.parametrize("target", ["-", "1,1", "1,9"])
def test_a_target_that_makes_no_sense_is_refused(target: str) -> None:
    Stage("1 2 3 4").play(
        BEGUN
        + f"""
        reassign orders-0 to {target}
            reply orders-0 INVALID_REPLICA_ASSIGNMENT
        reassign ghost-0 to 1
            reply ghost-0 UNKNOWN_TOPIC_OR_PARTITION
        cancel the reassignment of ghost-0
            reply ghost-0 NO_REASSIGNMENT_IN_PROGRESS
            zk assignment:orders-0 1,2 adding - removing -
        """
    )


def test_another_order_of_the_same_replicas_is_done_at_once() -> None:
    Stage("1 2 3 4").play(
        BEGUN
        + """
        reassign orders-0 to 2,1
            1,2 < LeaderAndIsr e1 orders-0 leader 1 epoch 1 isr 1,2
            1,2,3,4,1,2,3,4 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1,2; alive 1,2,3,4
            reply orders-0 NONE
            zk assignment:orders-0 2,1 adding - removing -
        """
    )


def test_the_next_controller_goes_on_with_a_move() -> None:
    Stage("1 2 3 4").play(
        BEGUN
        + """
        reassign orders-0 to 3
            ...
        broker 4 dies
            ...
            zk assignment:orders-0 3,1,2 adding 3 removing 1,2
            zk orders-0 leader 1 epoch 2 isr 1,2 by e2 version 2
        leader 1 proposes orders-0 isr 1,2,3 epoch 2 version 2
            ...
            zk assignment:orders-0 3 adding - removing -
            zk orders-0 leader 3 epoch 4 isr 3 by e2 version 5
        """
    )


def test_a_move_to_a_broker_that_died_goes_on_when_it_is_back() -> None:
    Stage("1 2 3 4").play(
        BEGUN
        + """
        reassign orders-0 to 1,3
            ...
        broker 3 dies
            ...
            zk assignment:orders-0 1,3,2 adding 3 removing 2
        broker 3 returns
            ...
        leader 1 proposes orders-0 isr 1,2,3 epoch 2 version 2
            ...
            zk assignment:orders-0 1,3 adding - removing -
        """
    )


def test_a_dead_leader_outside_of_the_target_does_not_stop_a_move() -> None:
    Stage("1 2 3 4").play(
        BEGUN
        + """
        reassign orders-0 to 3
            ...
        leader 1 proposes orders-0 isr 1,2 epoch 1 version 1
            ...
        broker 1 dies
            ...
            zk orders-0 leader 2 epoch 2 isr 2 by e1 version 2
        leader 2 proposes orders-0 isr 2,3 epoch 2 version 2
            ...
            zk assignment:orders-0 3 adding - removing -
            zk orders-0 leader 3 epoch 4 isr 3 by e1 version 5
        """
    )


def test_the_older_tools_plan_is_taken_from_its_znode_which_goes_when_all_is_done() -> None:
    Stage("1 2 3 4").play(
        BEGUN
        + """
        the old tool moves orders-0 to 3,2; ghost-0 to 1
            ...
            zk assignment:orders-0 3,2,1 adding 3 removing 1
            zk /admin/reassign_partitions is \
                {"version":1,"partitions":[{"topic":"orders","partition":0,"replicas":[3,2]}]}
        leader 1 proposes orders-0 isr 1,2,3 epoch 1 version 1
            ...
            zk assignment:orders-0 3,2 adding - removing -
            zk /admin/reassign_partitions is absent
        # and it is heard again
        the old tool moves orders-0 to 1,2
            ...
            zk assignment:orders-0 1,2,3 adding 1 removing 3
        """
    )


def test_below_2_7_a_move_is_completed_by_the_leaders_notice() -> None:
    Stage("1 2 3 4", ibp="2.6").play(
        BEGUN
        + """
        reassign orders-0 to 2,3
            ...
        the leader of orders-0 writes isr 1,2,3
            ...
            zk assignment:orders-0 2,3 adding - removing -
            zk orders-0 leader 2 epoch 3 isr 2,3 by e1 version 4
        """
    )


def test_deletion_waits_for_a_move_and_a_topic_to_be_deleted_is_not_moved() -> None:
    Stage("1 2 3 4").play(
        BEGUN
        + """
        reassign orders-0 to 3
            ...
        topic orders is marked for deletion
            zk assignment:orders-0 3,1,2 adding 3 removing 1,2
        reassign orders-0 to 4
            reply orders-0 UNKNOWN_TOPIC_OR_PARTITION
        leader 1 proposes orders-0 isr 1,2,3 epoch 1 version 1
            ...
            zk /brokers/topics/orders is absent
            zk /admin/delete_topics/orders is absent
        """
    )
