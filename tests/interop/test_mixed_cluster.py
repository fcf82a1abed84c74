"""Two of our brokers and one of Apache Kafka 3.9 in one cluster, on our ZooKeeper: each leads, follows and controls."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cluster.clusters import Cluster
from tests.cluster.processes import Process, eventually
from tests.interop.test_dump_log import HOME

LIBS = HOME / "kafka-3.9.1" / "libs"
OURS, APACHE, OURS_TOO = 0, 1, 2

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not LIBS.is_dir(), reason=f"Apache Kafka 3.9.1 is not in {LIBS}; scripts/interop-setup brings it"
    ),
]


class ApacheProcess(Process):
    """kafka.Kafka on the same settings as one of our brokers."""

    def start(self) -> None:
        assert not self.running, f"{self.name} is running"
        self.path.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        options = ["-Xmx400m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{LIBS}/*"]
        with self.log.open("ab") as out:
            self._popen = subprocess.Popen(["java", *options, "kafka.Kafka", str(self.path)], stdout=out, stderr=out)


def mixed_cluster(directory: Path, protocol: str, **settings: str) -> Cluster:
    """A follower that Apache's leader has not heard of yet is asked to wait: that is no reason to leave the ISR."""
    settings = {"replica_lag_time_max_ms": "10000"} | settings | {"inter_broker_protocol_version": protocol}
    cluster = Cluster(directory, brokers=3, direct=False, **settings)
    node = cluster.nodes[APACHE]
    node.process = ApacheProcess("apache", "kafka.Kafka", node.process.settings, directory)
    return cluster


async def controller_is(cluster: Cluster, wanted: tuple[int, ...], ask: int) -> None:
    async def known() -> bool:
        return (await cluster._ask(ask).metadata()).controller_id in wanted

    await eventually(f"the controller is one of {wanted}", known)


@pytest.mark.parametrize("protocol", ["3.9", "2.6"])
async def test_brokers_of_both_kinds_lead_follow_and_control_each_other(tmp_path: Path, protocol: str) -> None:
    written: dict[int, list[bytes]] = {0: [], 1: [], 2: []}

    async def produce(cluster: Cluster, what: str, ask: int) -> None:
        for partition, values in written.items():
            batch = [f"{what}-{partition}-{index}".encode() for index in range(20)]
            await cluster.produce("orders", batch, partition, ask=ask)
            values += batch

    async def whole(cluster: Cluster, *alive: int) -> None:
        for partition in written:
            await cluster.isr("orders", alive, partition, ask=alive)

    async with mixed_cluster(tmp_path, protocol) as cluster:
        replicas = [[OURS, APACHE, OURS_TOO], [APACHE, OURS_TOO, OURS], [OURS_TOO, OURS, APACHE]]
        await cluster.create("orders", replicas)
        await produce(cluster, "at first", OURS)
        await whole(cluster, OURS, APACHE, OURS_TOO)

        cluster.kill(APACHE)
        await whole(cluster, OURS, OURS_TOO)
        await produce(cluster, "without Apache", OURS)
        await cluster.registered(OURS, OURS_TOO)
        cluster.start(APACHE)
        await whole(cluster, OURS, APACHE, OURS_TOO)

        await cluster.stop(OURS)
        await cluster.stop(OURS_TOO)
        await controller_is(cluster, (APACHE,), APACHE)
        await produce(cluster, "Apache alone", APACHE)
        cluster.start(OURS)
        cluster.start(OURS_TOO)
        await whole(cluster, OURS, APACHE, OURS_TOO)

        cluster.kill(APACHE)
        await whole(cluster, OURS, OURS_TOO)
        for partition, values in written.items():
            seen = await cluster.read("orders", partition, ask=OURS)
            assert list(dict.fromkeys(seen)) == values
