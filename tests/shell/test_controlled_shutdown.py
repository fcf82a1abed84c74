"""Asking the controller to take leadership away, as often as the settings allow."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from broker.cluster.controlled_shutdown import ControlledShutdown
from broker.cluster.ibp import Ibp
from broker.cluster.metadata_cache import MetadataCache
from broker.cluster.peers import Peers, PeerUnreachable
from broker.config import KafkaConfig
from broker.host import Clock
from broker.wire.errors import ErrorCode
from broker.wire.messages.controlled_shutdown import ControlledShutdownResponse, RemainingPartition
from broker.wire.messages.update_metadata import (
    UpdateMetadataBroker,
    UpdateMetadataEndpoint,
    UpdateMetadataRequest,
)


class Line:
    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[int, Any]] = []

    def send(self, api_key: int, version: int, request: Any, timeout: float) -> asyncio.Future[Any]:
        self.asked.append((version, request))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future

    def close(self) -> None:
        return


class FakePeers:
    def __init__(self, answers: list[Any]) -> None:
        self.only = Line(answers)

    def line(self, broker_id: int, host: str, port: int, client_id: str) -> Line:
        return self.only


class Sleeps:
    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


OK = ControlledShutdownResponse()
LEADING = ControlledShutdownResponse(remaining_partitions=[RemainingPartition(topic_name="t", partition_index=3)])
MOVED = ControlledShutdownResponse(error_code=ErrorCode.NOT_CONTROLLER)


@pytest.mark.parametrize(
    ("answers", "succeeds", "sleeps"),
    [
        ([OK], True, []),
        ([LEADING, OK], True, [5.0]),
        ([MOVED, PeerUnreachable("gone"), OK], True, [5.0, 5.0]),
        ([LEADING, LEADING, LEADING], False, [5.0, 5.0]),
    ],
)
async def test_it_is_asked_until_nothing_is_led_or_the_tries_are_over(
    answers: list[Any], succeeds: bool, sleeps: list[float]
) -> None:
    cache, clock, peers = MetadataCache(), Sleeps(), FakePeers(list(answers))
    end = UpdateMetadataEndpoint(port=1, host="h", listener="PLAINTEXT", security_protocol=0)
    cache.update(UpdateMetadataRequest(controller_id=2, live_brokers=[UpdateMetadataBroker(id=2, endpoints=[end])]))
    shutdown = ControlledShutdown(
        KafkaConfig.of(1), cast(Clock, clock), cast(Peers, peers), Ibp.of("3.9"), cache, lambda: 2
    )
    assert await shutdown.perform(77) is succeeds
    assert clock.slept == sleeps
    assert {(version, request.broker_id, request.broker_epoch) for version, request in peers.only.asked} == {(3, 1, 77)}


async def test_without_a_controller_it_gives_up_after_its_tries() -> None:
    clock = Sleeps()
    shutdown = ControlledShutdown(
        KafkaConfig.of(1, controlled_shutdown_max_retries=2),
        cast(Clock, clock),
        cast(Peers, FakePeers([])),
        Ibp.of("2.6"),
        MetadataCache(),
        lambda: -1,
    )
    assert await shutdown.perform(77) is False
    assert clock.slept == [5.0]


async def test_the_last_broker_of_a_cluster_does_not_wait_for_somebody_to_take_over() -> None:
    cache, clock = MetadataCache(), Sleeps()
    end = UpdateMetadataEndpoint(port=1, host="h", listener="PLAINTEXT", security_protocol=0)
    cache.update(UpdateMetadataRequest(controller_id=1, live_brokers=[UpdateMetadataBroker(id=1, endpoints=[end])]))
    shutdown = ControlledShutdown(
        KafkaConfig.of(1), cast(Clock, clock), cast(Peers, FakePeers([LEADING])), Ibp.of("3.9"), cache, lambda: 1
    )
    assert await shutdown.perform(77) is False
    assert clock.slept == []
