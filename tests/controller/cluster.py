"""Controllers on one loop against a real ZooKeeper; their brokers only listen and answer, over the real wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from broker.cluster.ibp import Ibp
from broker.cluster.peers import Peers
from broker.cluster.registration import Registration, make_skeleton
from broker.config import KafkaConfig
from broker.controller.driver import Controller
from broker.host import real_host
from broker.host.net import close_server
from broker.wire import codec
from broker.wire.keys import ApiKey
from broker.wire.messages.leader_and_isr import LeaderAndIsrRequest, LeaderAndIsrResponse
from broker.wire.messages.stop_replica import StopReplicaPartitionError, StopReplicaRequest, StopReplicaResponse
from broker.wire.messages.update_metadata import UpdateMetadataResponse
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import Create, Exists, GetData

PATIENCE_S = 15.0


async def until(condition: Callable[[], bool], what: str = "") -> None:
    """Wait for a condition, looking often."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what or condition}"
        await asyncio.sleep(0.005)


class Ear(asyncio.Protocol):
    """The listening side of a broker: decodes control requests and answers that all went well."""

    def __init__(self, broker: ListeningBroker) -> None:
        self.broker = broker
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.broker.connections.append(transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 4 and len(self.buffer) >= 4 + int.from_bytes(self.buffer[:4], "big"):
            end = 4 + int.from_bytes(self.buffer[:4], "big")
            frame, self.buffer = self.buffer[4:end], self.buffer[end:]
            self._on_request(frame)

    def _on_request(self, frame: bytes) -> None:
        header = codec.decode_request_header(frame)
        request = codec.decode_request(header, frame)
        self.broker.heard.append((header.version, request))
        if self.broker.is_deaf:
            return
        response: Any = UpdateMetadataResponse()
        if isinstance(request, LeaderAndIsrRequest):
            response = LeaderAndIsrResponse()
        elif isinstance(request, StopReplicaRequest):
            errors = [
                StopReplicaPartitionError(topic_name=topic.topic_name, partition_index=it.partition_index)
                for topic in request.topic_states
                for it in topic.partition_states
            ]
            response = StopReplicaResponse(partition_errors=errors)
        self.transport.write(
            codec.encode_response(ApiKey(header.api_key), header.version, header.correlation_id, response)
        )


class ListeningBroker:
    """A ZooKeeper session, a registration, a controller, and an ear."""

    def __init__(self, broker_id: int, connect: str, ibp: str = "3.9") -> None:
        self.broker_id = broker_id
        self.host = real_host()
        self.zk = ZooKeeperClient(self.host, connect, session_timeout_ms=2000)
        self.peers = Peers(self.host.net, self.host.clock)
        self.ibp = Ibp.of(ibp)
        self.config = KafkaConfig.of(broker_id=broker_id, controller_socket_timeout_ms=1000)
        self.controller = Controller(self.config, self.host, self.zk, self.peers, self.ibp)
        self.heard: list[tuple[int, Any]] = []
        self.connections: list[Any] = []
        self.is_deaf = False
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Ear(self), "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.zk.subscribe(established=lambda: self._tasks.append(asyncio.ensure_future(self._rejoin())))
        await self.zk.start()
        await make_skeleton(self.zk)
        endpoints = [znodes.Endpoint("PLAINTEXT", "127.0.0.1", port, "PLAINTEXT")]
        self.registration = Registration(
            self.zk, self.host, self.broker_id, endpoints, feature_versions=self.ibp.feature_versions
        )
        await self.registration.register()
        await self.controller.start()

    async def _rejoin(self) -> None:
        await self.registration.register()
        self.controller.on_session_established()

    async def stop(self) -> None:
        await self.controller.stop()
        await self.leave()

    async def leave(self) -> None:
        """As a process that dies: nobody hands anything over, the session ends."""
        await self.zk.close()
        await self.controller.stop()
        self.hang_up()
        self.peers.close()
        for task in self._tasks:
            await task
        self.host.workers.close()

    def hang_up(self) -> None:
        if self._server is not None:
            close_server(self._server)
            self._server = None
        for transport in self.connections:
            transport.abort()

    def heard_of(self, kind: type, topic: str) -> list[Any]:
        """The states of partition 0 of ``topic`` in requests of that kind, in order."""
        return [
            state
            for _, request in self.heard
            if isinstance(request, kind)
            for it in request.topic_states
            if it.topic_name == topic
            for state in it.partition_states
            if state.partition_index == 0
        ]

    # --- what an admin, or a leader, would do in ZooKeeper ---

    async def create_topic(self, topic: str, *replicas: int) -> None:
        znode = znodes.TopicZnode({0: znodes.ReplicaAssignment(replicas)}, self.host.dice.uuid())
        results = await self.zk.request(
            [
                Create(znodes.config_entity("topics", topic), znodes.encode_config({})),
                Create(znodes.topic(topic), znode.encode()),
            ]
        )
        assert all(result.ok for result in results)

    async def state(self, topic: str) -> znodes.PartitionState:
        result = (await self.zk.request([GetData(znodes.partition_state(topic, 0))]))[0]
        return znodes.PartitionState.decode(result.or_raise().data)

    async def exists(self, path: str) -> bool:
        return (await self.zk.request([Exists(path)]))[0].ok
