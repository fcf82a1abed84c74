"""ElectLeaders: move leadership to the preferred replica, or to one outside the ISR (KafkaApis; KIP-460)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from broker.api.context import Context
from broker.api.table import api
from broker.cluster.metadata_cache import NO_LEADER, MetadataCache
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)

PREFERRED, UNCLEAN = 0, 1
Outcomes = dict[tuple[str, int], tuple[ErrorCode, str | None]]


@api(ApiKey.ELECT_LEADERS, 0, 2)
async def elect_leaders(ctx: Context, request: ElectLeadersRequest) -> ElectLeadersResponse:
    """Answers when the new leaders show in this broker's metadata, or REQUEST_TIMED_OUT.

    Of all partitions (null) only those that had an election or an error are in the reply.
    """
    election = request.election_type if ctx.version >= 1 else PREFERRED
    if election not in (PREFERRED, UNCLEAN):
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown election type: {election}")
    asked = _asked(request)
    outcomes = await _elect(ctx, asked, election)
    elected = [each for each, (code, _) in outcomes.items() if code == ErrorCode.NONE]
    await _wait_until_led(ctx, request, elected, election)
    for each in elected:
        if not _led(ctx.services.metadata, each, election):
            outcomes[each] = (ErrorCode.REQUEST_TIMED_OUT, None)
    if asked is None:
        outcomes = {each: what for each, what in outcomes.items() if what[0] != ErrorCode.ELECTION_NOT_NEEDED}
    return ElectLeadersResponse(replica_election_results=_results(outcomes))


def _asked(request: ElectLeadersRequest) -> list[tuple[str, int]] | None:
    if request.topic_partitions is None:
        return None
    return [(each.topic, index) for each in request.topic_partitions for index in each.partitions]


async def _elect(ctx: Context, asked: Sequence[tuple[str, int]] | None, election: int) -> Outcomes:
    """Off the controller every partition gets NOT_CONTROLLER, as in Kafka; the field at the top stays 0."""
    try:
        found = await ctx.services.controller.elect_leaders(asked, election)
    except KafkaError as error:
        if error.code != ErrorCode.NOT_CONTROLLER:
            raise
        metadata: MetadataCache = ctx.services.metadata
        every = [(topic, index) for topic, index, _ in metadata.all_partitions()] if asked is None else asked
        return dict.fromkeys(every, (error.code, None))
    return {(topic, index): outcome for (topic, index), outcome in found.items()}


async def _wait_until_led(
    ctx: Context, request: ElectLeadersRequest, elected: Sequence[tuple[str, int]], election: int
) -> None:
    if not elected or request.timeout_ms <= 0:
        return
    left = ctx.arrived + request.timeout_ms / 1000 - ctx.services.host.clock.monotonic()
    metadata: MetadataCache = ctx.services.metadata
    await metadata.wait_for(lambda cache: all(_led(cache, each, election) for each in elected), left)


def _led(cache: MetadataCache, each: tuple[str, int], election: int) -> bool:
    state = cache.partition(*each)
    if state is None:
        return False
    return state.leader == state.replicas[0] if election == PREFERRED else state.leader > NO_LEADER


def _results(outcomes: Mapping[tuple[str, int], tuple[ErrorCode, str | None]]) -> list[ReplicaElectionResult]:
    by_topic: dict[str, list[PartitionResult]] = {}
    for (topic, index), (code, message) in outcomes.items():
        result = PartitionResult(partition_id=index, error_code=code, error_message=message)
        by_topic.setdefault(topic, []).append(result)
    return [ReplicaElectionResult(topic=topic, partition_result=results) for topic, results in by_topic.items()]
