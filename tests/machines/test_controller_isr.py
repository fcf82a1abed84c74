"""Plays: leaders propose ISRs (facts B.14, row by row), and older ones write them themselves."""

from __future__ import annotations

from uuid import UUID

import pytest

from broker.controller import events as ev
from broker.wire.errors import ErrorCode
from broker.wire.messages.alter_partition import AlterPartitionRequest, RequestPartitionData, RequestTopicData
from tests.machines.controller_stage import Stage

BEGUN = """
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        broker 2 bounces
            ...
            zk orders-0 leader 1 epoch 1 isr 1 by e1 version 1
"""


def test_a_proposal_that_stands_is_written_and_told_to_everybody() -> None:
    Stage().play(
        BEGUN
        + """
        leader 1 proposes orders-0 isr 1,2 epoch 1 version 1
            reply NONE isr 1,2 epoch 1 version 2
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1,2; alive 1,2,3
            zk orders-0 leader 1 epoch 1 isr 1,2 by e1 version 2
    """
    )


@pytest.mark.parametrize("version", ["0", "1", "2", "3"])
def test_every_version_of_the_request_is_understood(version: str) -> None:
    Stage().play(
        BEGUN
        + f"""
        leader 1 proposes orders-0 isr 1,2 epoch 1 version 1 by v{version}
            reply NONE isr 1,2 epoch 1 version 2
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1,2; alive 1,2,3
    """
    )


@pytest.mark.parametrize(
    ("proposal", "answer"),
    [
        ("ghost-0 isr 1 epoch 0 version 0", "UNKNOWN_TOPIC_ID"),
        ("ghost-0 isr 1 epoch 0 version 0 by v1", "UNKNOWN_TOPIC_OR_PARTITION"),
        ("orders-7 isr 1 epoch 0 version 0", "UNKNOWN_TOPIC_OR_PARTITION"),
        ("orders-0 isr 1,2 epoch 2 version 1", "NOT_CONTROLLER"),
        ("orders-0 isr 1,2 epoch 1 version 2", "NOT_CONTROLLER"),
        ("orders-0 isr 1,2 epoch 0 version 1", "FENCED_LEADER_EPOCH"),
        ("orders-0 isr 1 epoch 1 version 1", "NONE isr 1 epoch 1 version 1"),
        ("orders-0 isr 1 epoch 1 version 0", "NONE isr 1 epoch 1 version 1"),
        ("orders-0 isr 1,2 epoch 1 version 0", "INVALID_UPDATE_VERSION"),
        ("orders-0 isr 2 epoch 1 version 1", "INVALID_REQUEST"),
        ("orders-0 isr 1,3 epoch 1 version 1", "INVALID_REQUEST"),
    ],
)
def test_a_proposal_that_does_not_stand_changes_nothing(proposal: str, answer: str) -> None:
    Stage().play(
        BEGUN
        + f"""
        leader 1 proposes {proposal}
            reply {answer}
            zk orders-0 leader 1 epoch 1 isr 1 by e1 version 1
    """
    )


@pytest.mark.parametrize(("version", "answer"), [("1", "OPERATION_NOT_ATTEMPTED"), ("3", "INELIGIBLE_REPLICA")])
def test_a_broker_that_is_not_alive_does_not_get_into_the_isr(version: str, answer: str) -> None:
    Stage().play(
        BEGUN
        + f"""
        broker 2 dies
            ...
        leader 1 proposes orders-0 isr 1,2 epoch 1 version 1 by v{version}
            reply {answer}
    """
    )


def test_nor_does_one_that_is_shutting_down() -> None:
    Stage().play(
        BEGUN
        + """
        broker 2 asks to stop
            ...
        leader 1 proposes orders-0 isr 1,2 epoch 1 version 1
            reply INELIGIBLE_REPLICA
    """
    )


def test_a_leader_of_an_earlier_life_is_refused_as_a_whole() -> None:
    stage = Stage().play(BEGUN)
    topics = [RequestTopicData(topic_id=UUID(int=1), partitions=[RequestPartitionData(new_isr=[1])])]
    request = AlterPartitionRequest(broker_id=1, broker_epoch=stage.epoch_of(1) - 1, topics=topics)
    stage.controller.events.append(ev.AlterPartition(1, request, 2))
    stage.lines = []
    stage.settle()
    assert stage.lines == ["reply STALE_BROKER_EPOCH"]


def test_a_replica_whose_broker_bounced_since_the_leader_heard_of_it_is_not_eligible() -> None:
    stage = Stage().play(BEGUN)
    stage._happen("leader 1 proposes orders-0 isr 1,2 epoch 1 version 1")
    proposal = stage.controller.events[-1]
    proposal.request.topics[0].partitions[0].new_isr_with_epochs[1].broker_epoch -= 1
    stage.lines = []
    stage.settle()
    assert stage.lines == ["reply INELIGIBLE_REPLICA"]


def test_a_recovering_leader_may_not_bring_others_in_and_a_recovered_one_not_fall_back() -> None:
    stage = Stage().play(BEGUN)
    for isr in ("1,2", "1"):
        stage._happen(f"leader 1 proposes orders-0 isr {isr} epoch 1 version 1")
        stage.controller.events[-1].request.topics[0].partitions[0].leader_recovery_state = 1
        stage.lines = []
        stage.settle()
        assert stage.lines == ["reply INVALID_REQUEST"]


def test_a_write_that_lost_is_refused_and_the_controller_knows_better_afterwards() -> None:
    Stage().play(
        BEGUN
        + """
        the leader of orders-0 writes isr 1 and has not said so yet
        leader 1 proposes orders-0 isr 1,2 epoch 1 version 1
            reply INVALID_UPDATE_VERSION
        leader 1 proposes orders-0 isr 1,2 epoch 1 version 2
            ...
            zk orders-0 leader 1 epoch 1 isr 1,2 by e1 version 3
    """
    )


def test_a_write_whose_reply_was_lost_counts() -> None:
    Stage().play(
        BEGUN
        + """
        the reply to the next write of /brokers/topics/orders/partitions/0/state will be lost
        leader 1 proposes orders-0 isr 1,2 epoch 1 version 1
            reply NONE isr 1,2 epoch 1 version 2
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 1 isr 1,2; alive 1,2,3
    """
    )


def test_a_broker_that_is_not_controller_says_so() -> None:
    stage = Stage().play(BEGUN)
    event = ev.AlterPartition(1, AlterPartitionRequest(broker_id=1), 3)
    transition = stage.actors[1].machine.handle(event)
    with pytest.raises(StopIteration) as done:
        next(transition)
    assert done.value.value[0].value.error_code == ErrorCode.NOT_CONTROLLER


def test_below_2_7_leaders_write_and_notify_and_the_controller_tells_the_others() -> None:
    Stage(ibp="2.6").play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        the leader of orders-0 writes isr 1
            1,2,3 < UpdateMetadata e1 orders-0 leader 1 epoch 0 isr 1; alive 1,2,3
            zk /isr_change_notification/isr_change_0000000000 is absent
        # what was not notified yet is read before anybody is elected
        the leader of orders-0 writes isr 1,2 and has not said so yet
        broker 1 dies
            close 1
            2 < LeaderAndIsr e1 orders-0 leader 2 epoch 1 isr 2
            2,3,2,3 < UpdateMetadata e1 orders-0 leader 2 epoch 1 isr 2 offline 1; alive 2,3
            zk orders-0 leader 2 epoch 1 isr 2 by e1 version 3
    """)


def test_notices_from_before_a_failover_are_dropped_for_the_states_are_read_anyway() -> None:
    stage = Stage(ibp="2.6").play("""
        broker 3 stands
            ...
        topic orders is created on 1,2
            ...
        controller 3 pauses
        the leader of orders-0 writes isr 1
        broker 3 dies
        broker 1 stands
            ...
            zk /isr_change_notification/isr_change_0000000000 is absent
    """)
    assert stage.controller.machine.context.leadership[("orders", 0)].isr == (1,)  # type: ignore[index]
