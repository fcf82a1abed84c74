"""The states of partitions and replicas, and which may follow which (PartitionStateMachine, ReplicaStateMachine).

Why these tables are right:

- A partition is New while nothing about its leadership is in ZooKeeper, so nobody can have acknowledged a record: only
  from there may the controller write a first state with epoch 0. From Online and Offline every leader is elected from
  what is written, by a conditional write with the next epoch; hence New is never entered again while the topic lives.
- Offline says that the leader is considered dead, not that a new one is missing: it is the one way to NonExistent, so a
  partition is never deleted under a leader that the controller takes to be serving.
- A replica is deleted only after it was told to stop (Offline): its broker then no longer fetches, and no leader waits
  for it. DeletionStarted ends in Successful by the broker's word alone; silence, an error or the broker's death end in
  Ineligible, from which the deletion is tried again, or the replica comes back Online when its broker does.
- NonExistent is entered from DeletionSuccessful alone: what the controller forgets is gone from the disk.

A transition that is not in the table raises and changes nothing: whoever asked is wrong about the world.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from broker.controller.state import ControllerContext, PartitionState, Replica, ReplicaState, TopicPartition

P = PartitionState
R = ReplicaState

PARTITION_FROM: Final[Mapping[PartitionState, tuple[PartitionState, ...]]] = MappingProxyType(
    {
        P.NON_EXISTENT: (P.OFFLINE,),
        P.NEW: (P.NON_EXISTENT,),
        P.ONLINE: (P.NEW, P.ONLINE, P.OFFLINE),
        P.OFFLINE: (P.NEW, P.ONLINE, P.OFFLINE),
    }
)

REPLICA_FROM: Final[Mapping[ReplicaState, tuple[ReplicaState, ...]]] = MappingProxyType(
    {
        R.NEW: (R.NON_EXISTENT,),
        R.ONLINE: (R.NEW, R.ONLINE, R.OFFLINE, R.DELETION_INELIGIBLE),
        R.OFFLINE: (R.NEW, R.ONLINE, R.OFFLINE, R.DELETION_INELIGIBLE),
        R.DELETION_STARTED: (R.OFFLINE,),
        R.DELETION_SUCCESSFUL: (R.DELETION_STARTED,),
        R.DELETION_INELIGIBLE: (R.OFFLINE, R.DELETION_STARTED),
        R.NON_EXISTENT: (R.DELETION_SUCCESSFUL,),
    }
)


class IllegalTransition(Exception):
    """A state was asked for that may not follow the present one; nothing was changed."""


def can_move(context: ControllerContext, partition: TopicPartition, target: PartitionState) -> bool:
    return context.state_of(partition) in PARTITION_FROM[target]


def can_move_replica(context: ControllerContext, replica: Replica, target: ReplicaState) -> bool:
    return context.state_of_replica(replica) in REPLICA_FROM[target]


def check_partitions(context: ControllerContext, partitions: Iterable[TopicPartition], target: PartitionState) -> None:
    """Raises IllegalTransition unless every one of ``partitions`` may become ``target``."""
    for partition in partitions:
        if not can_move(context, partition, target):
            raise IllegalTransition(f"{partition} cannot become {target.value}: {context.state_of(partition).value}")


def check_replicas(context: ControllerContext, replicas: Iterable[Replica], target: ReplicaState) -> None:
    """Raises IllegalTransition unless every one of ``replicas`` may become ``target``."""
    for replica in replicas:
        if not can_move_replica(context, replica, target):
            raise IllegalTransition(
                f"{replica} cannot become {target.value}: {context.state_of_replica(replica).value}"
            )


def enter_partition_state(context: ControllerContext, partition: TopicPartition, target: PartitionState) -> None:
    """Record the state; NonExistent partitions have none."""
    if target is P.NON_EXISTENT:
        context.partition_states.pop(partition, None)
    else:
        context.partition_states[partition] = target


def enter_replica_state(context: ControllerContext, replica: Replica, target: ReplicaState) -> None:
    """Record the state; NonExistent replicas have none."""
    if target is R.NON_EXISTENT:
        context.replica_states.pop(replica, None)
    else:
        context.replica_states[replica] = target
