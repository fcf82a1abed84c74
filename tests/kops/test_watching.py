"""What ZooKeeper pushes, on the bundled server with a client that changes znodes by hand."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.zk import znodes
from kops.cluster import watching as pushing
from kops.cluster.watching import Connected, Controlled, Fact, Listed, Registered, StateOf, Watching
from kops.session import open_zookeeper
from tests.cluster.processes import Process
from tests.ports import free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    port = free_port()
    settings = {"dataDir": str(tmp_path / "zk"), "clientPort": str(port), "clientPortAddress": "127.0.0.1"}
    process = Process("zookeeper", "broker.zookeeper", settings, tmp_path)
    process.start()
    deadline = time.monotonic() + 20
    while "bound to port" not in process.output():
        assert time.monotonic() < deadline, process.output()
        time.sleep(0.05)
    yield process
    process.kill()


def state(leader: int, epoch: int, *isr: int) -> bytes:
    return znodes.PartitionState(leader, epoch, isr, 1).encode()


def test_every_change_is_told_when_it_happens(server: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "ASKED_EVERY", 0.02)
    client = open_zookeeper(f"127.0.0.1:{server.settings['clientPort']}", 10.0)
    told: list[Fact] = []

    def until(fact: type[Fact], **wanted: object) -> Fact:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for one in reversed(told):
                if isinstance(one, fact) and all(getattr(one, name) == value for name, value in wanted.items()):
                    return one
            time.sleep(0.01)
        raise AssertionError(f"{fact.__name__} {wanted} was not told: {told}")

    try:
        for path in (znodes.BROKER_IDS, znodes.TOPICS):
            client.ensure_path(path)
        watching = Watching(client, told.append)
        watching.start()
        until(Registered, brokers=())
        until(Controlled, controller=-1)

        client.create(znodes.broker_id(2), b"{}", ephemeral=True)
        until(Registered, brokers=(2,))
        client.create(znodes.CONTROLLER, znodes.ControllerZnode(2, 1).encode(), ephemeral=True)
        until(Controlled, controller=2)

        assignment = znodes.TopicZnode({0: znodes.ReplicaAssignment((2, 3))})
        client.create(znodes.topic("orders"), assignment.encode())
        until(Listed, topics=("orders",))
        client.create(znodes.partition_state("orders", 0), state(2, 0, 2, 3), makepath=True)
        until(StateOf, name="orders-0", leader=2, isr=(2, 3))
        before = time.time_ns() // 1_000_000
        client.set(znodes.partition_state("orders", 0), state(3, 1, 3))
        assert until(StateOf, leader=3, leader_epoch=1, isr=(3,)).at >= before
        client.delete(znodes.CONTROLLER)
        until(Controlled, controller=-1)

        client.delete(znodes.topic("orders"), recursive=True)
        until(Listed, topics=())
        client.create(znodes.topic("orders"), assignment.encode())
        client.create(znodes.partition_state("orders", 0), state(2, 7, 2), makepath=True)
        until(StateOf, leader=2, leader_epoch=7)

        monkeypatch.setattr(pushing, "ANSWERED_WITHIN", 0.1)
        server.pause()
        until(Connected, up=False)
        told.clear()
        server.resume()
        until(Connected, up=True)
        until(StateOf, leader=2, leader_epoch=7)
        watching.close()
        count = len(told)
        client.delete(znodes.broker_id(2))
        time.sleep(0.1)
        assert len(told) == count
    finally:
        client.stop()
        client.close()
