"""The views of moves between brokers and of elections."""

from kops.cluster.elections import Election
from kops.cluster.reassignments import Move
from kops.columns import Column, View, ids
from kops.operations.reassign import Step

STEPS: View[Step] = View(
    "PartitionReassignment",
    (
        Column("TOPIC", lambda step: step.position.topic),
        Column("PARTITION", lambda step: step.position.partition),
        Column("FROM", lambda step: ids(step.now)),
        Column("TO", lambda step: ids(step.target)),
        Column("ADDING", lambda step: ids(step.adding)),
        Column("REMOVING", lambda step: ids(step.removing)),
        Column("BYTES", lambda step: step.bytes),
        Column("STATE", lambda step: step.state),
    ),
    lambda step: {
        "topic": step.position.topic,
        "partition": step.position.partition,
        "from": list(step.now),
        "to": list(step.target),
        "adding": list(step.adding),
        "removing": list(step.removing),
        "bytes": step.bytes,
        "state": step.state,
    },
    lambda step: str(step.position),
)

MOVES: View[Move] = View(
    "PartitionReassignmentList",
    (
        Column("TOPIC", lambda move: move.topic),
        Column("PARTITION", lambda move: move.partition),
        Column("REPLICAS", lambda move: ids(move.replicas)),
        Column("ADDING", lambda move: ids(move.adding)),
        Column("REMOVING", lambda move: ids(move.removing)),
    ),
    lambda move: {
        "topic": move.topic,
        "partition": move.partition,
        "replicas": list(move.replicas),
        "adding": list(move.adding),
        "removing": list(move.removing),
    },
    lambda move: move.name,
)

ELECTIONS: View[Election] = View(
    "PartitionElection",
    (
        Column("TOPIC", lambda one: one.partition.topic),
        Column("PARTITION", lambda one: one.partition.index),
        Column("BEFORE", lambda one: one.partition.leader if one.partition.leader >= 0 else "none"),
        Column("LEADER", lambda one: "-" if one.leader is None else one.leader),
        Column("PREFERRED", lambda one: one.partition.replicas[0] if one.partition.replicas else "-"),
    ),
    lambda one: {
        "topic": one.partition.topic,
        "partition": one.partition.index,
        "before": one.partition.leader,
        "leader": one.leader,
        "preferred": one.partition.replicas[0] if one.partition.replicas else None,
    },
    lambda one: one.partition.name,
)
