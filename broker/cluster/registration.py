"""How a broker enters the cluster: skeleton, cluster id, ``/brokers/ids/N`` (kafka.zk.KafkaZkClient.registerBroker).

The creation zxid of the broker's own node is its **broker epoch**, which the controller stamps on every request to it.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Sequence
from typing import NamedTuple

from broker.host import Host
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import (
    Create,
    CreateMode,
    Delete,
    GetChildren,
    GetData,
    Multi,
    Operation,
    Result,
    SetData,
    ZkCode,
)
from broker.zk.znodes import BrokerZnode, Endpoint, MalformedZnode

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 0.25
PROBE_SECONDS = 1.0


class RegistrationRefused(Exception):
    """This broker cannot join as it is configured; the text says why and what to do."""


async def make_skeleton(zk: ZooKeeperClient) -> None:
    """The persistent paths of every Kafka cluster (facts A.2), those that are missing."""
    paths: dict[str, None] = {}
    for path in znodes.PERSISTENT_PATHS:
        paths.update(dict.fromkeys([*znodes.parents(path), path]))
    await _create_missing(zk, [Create(path) for path in paths])


async def _create_missing(zk: ZooKeeperClient, creates: Sequence[Operation]) -> list[Result]:
    results = await zk.request(creates)
    for result in results:
        if result.code != ZkCode.NODE_EXISTS:
            result.or_raise()
    return results


async def read_or_create_cluster_id(zk: ZooKeeperClient, host: Host) -> str:
    """``/cluster/id``; the first broker makes it, whoever loses that race reads the winner's."""
    [found] = await zk.request([GetData(znodes.CLUSTER_ID)])
    if found.code == ZkCode.NO_NODE:
        made = base64.urlsafe_b64encode(host.dice.uuid().bytes).decode().rstrip("=")
        parents = [Create(path) for path in znodes.parents(znodes.CLUSTER_ID)]
        await _create_missing(zk, [*parents, Create(znodes.CLUSTER_ID, znodes.encode_cluster_id(made))])
        [found] = await zk.request([GetData(znodes.CLUSTER_ID)])
    return znodes.decode_cluster_id(found.or_raise().data)


async def generate_broker_id(zk: ZooKeeperClient, reserved_max_id: int) -> int:
    """An id for a broker whose broker.id is -1: above reserved.broker.max.id, never given twice.

    The data version that a write to ``/brokers/seqid`` returns is the sequence number (ZkUtils.getSequenceId).
    """
    [written] = await zk.request([SetData(znodes.SEQUENCE_ID, b"")])
    return reserved_max_id + written.or_raise().version


class Registration:
    """This broker's ephemeral node: made at start, made anew after every expiry of the session."""

    def __init__(
        self,
        zk: ZooKeeperClient,
        host: Host,
        broker_id: int,
        endpoints: Sequence[Endpoint],
        *,
        rack: str | None = None,
        feature_versions: bool = True,
    ) -> None:
        """``endpoints`` as advertised, ports bound; ``feature_versions``: the JSON of 2.7 and later (IBP)."""
        self.broker_id = broker_id
        self.broker_epoch = -1
        self._zk = zk
        self._host = host
        self._path = znodes.broker_id(broker_id)
        self._endpoints = tuple(endpoints)
        self._rack = rack
        self._features: dict[str, tuple[int, int]] | None = {} if feature_versions else None
        self._sessions: list[int] = []

    async def register(self) -> int:
        """Make the node in the client's current session; returns the broker epoch.

        A node of an earlier session of this object is replaced, one that somebody else left is waited for, for as long
        as its session can last. Raises RegistrationRefused when another live broker has the id or an endpoint.
        """
        await self._check_endpoints()
        self._sessions = [*self._sessions[-7:], self._zk.session_id]
        deadline = self._host.clock.monotonic() + self._zk.session_timeout_ms / 1000 * 1.5 + 3.0
        told = False
        while True:
            holder = await self._try()
            if holder is None:
                log.info("broker %d: registered, epoch %d, %s", self.broker_id, self.broker_epoch, self._listed())
                return self.broker_epoch
            if self._host.clock.monotonic() >= deadline or await self._lives(holder.broker):
                raise RegistrationRefused(
                    f"broker.id={self.broker_id} is taken by a live broker at {holder.where()}: "
                    "Stop that broker, or choose another broker.id."
                )
            if not told:
                log.warning(
                    "broker %d: still registered by session %#x (%s); waiting for that session to expire",
                    *(self.broker_id, holder.session_id, holder.where()),
                )
                told = True
            await self._host.clock.sleep(LOOK_AGAIN_SECONDS)

    async def update_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Advertise others (dynamic listeners); the controller sees the change and tells everyone.

        Raises RegistrationRefused when another broker has one of them: the old ones stay.
        """
        before, self._endpoints = self._endpoints, tuple(endpoints)
        try:
            await self._check_endpoints()
        except RegistrationRefused:
            self._endpoints = before
            raise
        log.info("broker %d: advertises %s", self.broker_id, self._listed())
        [written] = await self._zk.request([SetData(self._path, self._payload())])
        written.or_raise()

    def _payload(self) -> bytes:
        now = self._host.clock.wall_ms()
        return BrokerZnode(self.broker_id, self._endpoints, now, self._rack, features=self._features).encode()

    def _listed(self) -> str:
        return ",".join(str(endpoint) for endpoint in self._endpoints)

    async def _try(self) -> _Holder | None:
        """None: registered. Else who is in the way."""
        create = Create(self._path, None, CreateMode.EPHEMERAL)
        [made, found] = await self._zk.request(
            [Multi((create, SetData(self._path, self._payload(), 0))), GetData(self._path)]
        )
        if made.code not in (ZkCode.OK, ZkCode.NODE_EXISTS):
            made.or_raise()
        if found.stat is None:
            if found.code != ZkCode.NO_NODE:
                found.or_raise()
            return await self._try()
        owner = found.stat.ephemeral_owner
        if owner == self._zk.session_id:
            self.broker_epoch = found.stat.czxid
            return None
        if owner in self._sessions:
            await self._zk.request([Delete(self._path, found.stat.version)])
            return await self._try()
        return _Holder(owner, _decoded(self.broker_id, found.data))

    async def _check_endpoints(self) -> None:
        """Refuse an endpoint that another registered broker advertises (KafkaServer.createBrokerInfo)."""
        mine = {(endpoint.host, endpoint.port) for endpoint in self._endpoints}
        [children] = await self._zk.request([GetChildren(znodes.BROKER_IDS)])
        others = [int(name) for name in children.children if name.isdigit() and int(name) != self.broker_id]
        for other, found in zip(
            others, await self._zk.request([GetData(znodes.broker_id(other)) for other in others]), strict=True
        ):
            broker = _decoded(other, found.data) if found.ok else None
            for endpoint in broker.endpoints if broker else ():
                if (endpoint.host, endpoint.port) in mine:
                    raise RegistrationRefused(
                        f"{endpoint} is advertised by broker {other} already: correct advertised.listeners or listeners"
                    )

    async def _lives(self, other: BrokerZnode | None) -> bool:
        """Whether somebody answers at an endpoint of the holder that is not this broker's own."""
        mine = {(endpoint.host, endpoint.port) for endpoint in self._endpoints}
        for endpoint in other.endpoints if other else ():
            if (endpoint.host, endpoint.port) in mine:
                return False
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    transport, _ = await self._host.net.dial(endpoint.host, endpoint.port, asyncio.Protocol)
            except OSError:
                continue
            transport.abort()
            return True
        return False


class _Holder(NamedTuple):
    session_id: int
    broker: BrokerZnode | None

    def where(self) -> str:
        return ",".join(str(endpoint) for endpoint in self.broker.endpoints) if self.broker else "an unknown address"


def _decoded(broker_id: int, data: bytes | None) -> BrokerZnode | None:
    try:
        return BrokerZnode.decode(broker_id, data)
    except MalformedZnode as error:
        log.warning("broker %d: registered with something unreadable: %s", broker_id, error)
        return None
