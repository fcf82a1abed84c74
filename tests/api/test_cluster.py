"""DescribeCluster: the brokers on the client's listener (KIP-700)."""

from __future__ import annotations

import pytest

from broker.api.cluster import describe_cluster
from broker.api.context import Context
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.describe_cluster import DescribeClusterRequest
from tests.api.test_metadata import Broker, Connection


async def test_the_brokers_of_the_listener_and_the_controller_are_told() -> None:
    broker = Broker()
    connection = Connection()
    for listener, expected in (("PLAINTEXT", [(1, "h"), (2, "h"), (3, "h")]), ("INSIDE", [(1, "i"), (2, "i")])):
        connection.listener = listener
        reply = await describe_cluster(
            Context(connection, broker.services, 60, 1, 1, None, 0), DescribeClusterRequest()
        )
        assert [(each.broker_id, each.host) for each in reply.brokers] == expected
        assert (reply.cluster_id, reply.controller_id, reply.error_code) == ("abc", 2, 0)


@pytest.mark.parametrize(("asked", "operations"), [(True, 8096), (False, -(2**31))])
async def test_operations_are_told_when_they_are_asked_for(asked: bool, operations: int) -> None:
    request = DescribeClusterRequest(include_cluster_authorized_operations=asked)
    reply = await describe_cluster(Context(Connection(), Broker().services, 60, 0, 1, None, 0), request)
    assert reply.cluster_authorized_operations == operations


@pytest.mark.parametrize(
    ("endpoint", "error"), [(2, ErrorCode.MISMATCHED_ENDPOINT_TYPE), (7, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE)]
)
async def test_there_are_no_controller_endpoints_with_zookeeper(endpoint: int, error: ErrorCode) -> None:
    request = DescribeClusterRequest(endpoint_type=endpoint)
    with pytest.raises(KafkaError) as refused:
        await describe_cluster(Context(Connection(), Broker().services, 60, 1, 1, None, 0), request)
    assert refused.value.code == error
