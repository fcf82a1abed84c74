"""Telling clients where the leader went, with the error that says it is not here (KIP-951)."""

from __future__ import annotations

from typing import Any, NamedTuple

from broker.api.context import Context
from broker.cluster.metadata_cache import MetadataCache
from broker.wire.errors import ErrorCode

MOVED = (int(ErrorCode.NOT_LEADER_OR_FOLLOWER), int(ErrorCode.FENCED_LEADER_EPOCH))


class Leader(NamedTuple):
    leader_id: int
    leader_epoch: int


def leader_of(ctx: Context, topic: str, index: int) -> Leader:
    """Who leads as far as this broker knows: by its own LeaderAndIsr, or by UpdateMetadata; -1 where unknown."""
    hosted = ctx.services.replicas.get(topic, index)
    if hosted is not None and hosted.partition.leader >= 0:
        return Leader(hosted.partition.leader, hosted.partition.leader_epoch)
    state = ctx.services.metadata.partition(topic, index)
    return Leader(state.leader, state.leader_epoch) if state is not None else Leader(-1, -1)


def endpoints_of(ctx: Context, leaders: list[int], endpoint_class: type[Any]) -> list[Any]:
    """A NodeEndpoint for each live one, on the listener that the client uses."""
    metadata: MetadataCache = ctx.services.metadata
    found = []
    for leader in sorted(set(leaders)):
        broker = metadata.broker(leader)
        endpoint = broker.endpoint(ctx.listener) if broker else None
        if broker is not None and endpoint is not None:
            found.append(
                endpoint_class(node_id=leader, host=endpoint.host, port=endpoint.port, rack=broker.rack or None)
            )
    return found
