"""The election strategies and the tables of states, alone."""

from __future__ import annotations

import itertools

import pytest

from broker.controller import leader_election
from broker.controller.state import (
    RECOVERING,
    ControllerContext,
    Leadership,
    PartitionState,
    Replica,
    ReplicaState,
    TopicPartition,
)
from broker.controller.transitions import (
    PARTITION_FROM,
    REPLICA_FROM,
    IllegalTransition,
    check_partitions,
    check_replicas,
    enter_partition_state,
    enter_replica_state,
)

ORDERS = TopicPartition("orders", 0)


def known(leader: int, *isr: int) -> Leadership:
    return Leadership(leader, 5, isr, 0, 7, 1)


def test_the_first_live_replica_in_sync_leads_in_the_order_of_the_assignment() -> None:
    elected = leader_election.offline(
        (3, 1, 2), known(3, 2, 1), {1, 2}.__contains__, unclean=False, recovery_supported=True
    )
    assert elected is not None
    assert elected.leadership == known(1, 2, 1)._replace(leader_epoch=6)
    assert elected.recipients == (1, 2)


def test_nobody_out_of_sync_leads_unless_it_is_allowed() -> None:
    current, live = known(3, 3), {1, 2}.__contains__
    assert leader_election.offline((3, 1, 2), current, live, unclean=False, recovery_supported=True) is None
    unclean = leader_election.offline((3, 1, 2), current, live, unclean=True, recovery_supported=True)
    assert unclean is not None
    assert (unclean.leadership.leader, unclean.leadership.isr) == (1, (1,))
    assert unclean.leadership.recovery_state == RECOVERING
    older = leader_election.offline((3, 1, 2), current, live, unclean=True, recovery_supported=False)
    assert older is not None
    assert older.leadership.recovery_state == 0


@pytest.mark.parametrize(
    ("live", "isr", "leads"), [({1, 2}, (2, 1), True), ({2}, (2, 1), False), ({1, 2}, (2,), False)]
)
def test_the_preferred_leader_is_the_first_replica_or_nobody(live: set[int], isr: tuple[int, ...], leads: bool) -> None:
    elected = leader_election.preferred((1, 2), known(2, *isr), live.__contains__)
    assert (elected is not None) == leads
    if elected is not None:
        assert (elected.leadership.leader, elected.leadership.isr, elected.leadership.leader_epoch) == (1, isr, 6)


def test_a_shutting_down_leader_hands_over_to_one_in_sync_that_stays_and_hears_of_it() -> None:
    elected = leader_election.controlled_shutdown(
        (1, 2, 3), known(1, 1, 2, 3), {1, 2, 3}.__contains__, {1, 2}.__contains__
    )
    assert elected is not None
    assert (elected.leadership.leader, elected.leadership.isr) == (3, (3,))
    assert elected.recipients == (1, 2, 3)
    alone = leader_election.controlled_shutdown((1, 2), known(1, 1), {1, 2}.__contains__, {1}.__contains__)
    assert alone is None


def test_no_strategy_ever_empties_the_isr_or_keeps_the_epoch() -> None:
    brokers = (1, 2, 3)
    subsets = [set(it) for size in range(4) for it in itertools.combinations(brokers, size)]
    for live, isr, down in itertools.product(subsets, [it for it in subsets if it], subsets):
        current = known(1, *sorted(isr))
        outcomes = [
            leader_election.offline(brokers, current, live.__contains__, unclean=True, recovery_supported=True),
            leader_election.offline(brokers, current, live.__contains__, unclean=False, recovery_supported=True),
            leader_election.preferred(brokers, current, live.__contains__),
            leader_election.reassign(brokers, current, live.__contains__),
            leader_election.controlled_shutdown(brokers, current, live.__contains__, down.__contains__),
        ]
        for elected in outcomes:
            if elected is not None:
                assert elected.leadership.isr
                assert elected.leadership.leader in elected.leadership.isr
                assert elected.leadership.leader in live
                assert elected.leadership.leader_epoch == 6


@pytest.mark.parametrize("target", list(PartitionState))
@pytest.mark.parametrize("present", list(PartitionState))
def test_an_illegal_move_of_a_partition_raises_and_changes_nothing(
    present: PartitionState, target: PartitionState
) -> None:
    context = ControllerContext()
    enter_partition_state(context, ORDERS, present)
    if present in PARTITION_FROM[target]:
        check_partitions(context, [ORDERS], target)
    else:
        with pytest.raises(IllegalTransition, match="orders-0 cannot become"):
            check_partitions(context, [ORDERS], target)
    assert context.state_of(ORDERS) is present


@pytest.mark.parametrize("target", list(ReplicaState))
@pytest.mark.parametrize("present", list(ReplicaState))
def test_an_illegal_move_of_a_replica_raises_and_changes_nothing(present: ReplicaState, target: ReplicaState) -> None:
    context, replica = ControllerContext(), Replica(ORDERS, 1)
    enter_replica_state(context, replica, present)
    if present in REPLICA_FROM[target]:
        check_replicas(context, [replica], target)
    else:
        with pytest.raises(IllegalTransition, match="orders-0@1 cannot become"):
            check_replicas(context, [replica], target)
    assert context.state_of_replica(replica) is present


def test_what_the_controller_forgets_was_deleted() -> None:
    assert REPLICA_FROM[ReplicaState.NON_EXISTENT] == (ReplicaState.DELETION_SUCCESSFUL,)
    assert REPLICA_FROM[ReplicaState.DELETION_SUCCESSFUL] == (ReplicaState.DELETION_STARTED,)
    assert REPLICA_FROM[ReplicaState.DELETION_STARTED] == (ReplicaState.OFFLINE,)
