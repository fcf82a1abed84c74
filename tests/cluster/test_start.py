"""How a broker process starts, or says why it does not, and how it stops."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from broker.wire.keys import ApiKey
from broker.wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from tests.cluster.clusters import Cluster
from tests.cluster.processes import Process, eventually
from tests.ports import free_port

pytestmark = pytest.mark.timeout(120)


async def test_start_and_stop_print_what_tools_wait_for(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        node = cluster.nodes[0]

        async def started() -> bool:
            return "[KafkaServer id=0] started (kafka.server.KafkaServer)" in node.process.output()

        await eventually("the line that says that it started", started)
        assert await cluster.stop(0) == 0
        assert "[KafkaServer id=0] shut down completed (kafka.server.KafkaServer)" in node.process.output()
        assert "Traceback" not in node.process.output()


async def test_advertised_listeners_change_while_the_broker_runs_and_go_back(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        talk = cluster.talk(0)
        before = (await talk.metadata()).brokers[0]

        async def advertise(text: str | None, host: str, port: int) -> None:
            wish = AlterableConfig(name="advertised.listeners", config_operation=0 if text else 1, value=text)
            resource = AlterConfigsResource(resource_type=4, resource_name="0", configs=[wish])
            request = IncrementalAlterConfigsRequest(resources=[resource])
            reply = await talk.send(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, request)
            assert reply.responses[0].error_code == 0, reply.responses[0].error_message

            async def told() -> bool:
                brokers = (await talk.metadata()).brokers
                return [(broker.host, broker.port) for broker in brokers] == [(host, port)]

            await eventually(f"clients are told {host}:{port}", told)

        await advertise(f"PLAINTEXT://localhost:{before.port}", "localhost", before.port)
        await advertise(None, before.host, before.port)


async def refused(process: Process, *expected: str) -> None:
    process.start()
    assert await process.ended() == 1
    output = process.output()
    assert "Traceback" not in output
    for words in expected:
        assert re.search(words, output), output


async def test_a_second_broker_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        settings = {**cluster.nodes[0].process.settings, "broker.id": "1"}
        settings["listeners"] = f"PLAINTEXT://127.0.0.1:{free_port()}"
        del settings["advertised.listeners"]
        second = Process("second", "broker", settings, tmp_path)
        await refused(second, f"{cluster.nodes[0].data}", "Stop the broker that uses it, or name other log.dirs")
        assert len((await cluster.talk(0).metadata()).brokers) == 1


async def test_a_broker_id_that_is_taken_is_refused(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        settings = {**cluster.nodes[0].process.settings, "log.dirs": str(tmp_path / "other")}
        settings["listeners"] = f"PLAINTEXT://127.0.0.1:{free_port()}"
        del settings["advertised.listeners"]
        second = Process("second", "broker", settings, tmp_path)
        await refused(second, "broker.id=0 is taken by a live broker", "Stop that broker, or choose another broker.id.")


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        settings = {**cluster.nodes[0].process.settings, "log.dirs": str(tmp_path / "other"), "broker.id": "1"}
        second = Process("second", "broker", settings, tmp_path)
        await refused(second, f"failed to bind to PLAINTEXT://127.0.0.1:{cluster.nodes[0].port}", "choose another one")


async def test_directories_of_another_cluster_or_broker_are_refused(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        node = cluster.nodes[0]
        cluster.kill(0)
        meta = node.data / "meta.properties"
        original = meta.read_text()
        meta.write_text(original.replace("broker.id=0", "broker.id=5"))
        await refused(node.process, r"Configured broker.id 0 doesn't match stored broker.id 5 in meta.properties")
        meta.write_text(re.sub("cluster.id=.*", "cluster.id=someone-elses", original))
        await refused(node.process, "doesn't match stored clusterId", "Correct zookeeper.connect")


async def test_a_zookeeper_that_is_not_there_is_named(tmp_path: Path) -> None:
    port = free_port()
    settings = {
        "broker.id": "0",
        "log.dirs": str(tmp_path / "logs"),
        "zookeeper.connect": f"127.0.0.1:{port}",
        "zookeeper.connection.timeout.ms": "500",
    }
    why = rf"no answer within 0.5 s \(127.0.0.1:{port}: connection refused\)"
    await refused(Process("lonely", "broker", settings, tmp_path), why, "Start ZooKeeper, or correct")


async def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        settings = {**cluster.nodes[0].process.settings, "log.dirs": str(tmp_path / "other"), "broker.id": "1"}
        settings["listeners"] = "PLAINTEXT://192.0.2.1:9092"  # an address for examples in documents
        what = r"bind to PLAINTEXT://192\.0\.2\.1:9092: .*ssign requested address"
        await refused(Process("second", "broker", settings, tmp_path), what, "address and port of this machine")


async def test_directories_that_cannot_be_made_are_named(tmp_path: Path) -> None:
    settings = {"broker.id": "0", "log.dirs": "/proc/no/such", "zookeeper.connect": "127.0.0.1:1"}
    process = Process("homeless", "broker", settings, tmp_path)
    await refused(process, "none of the log.dirs can be used: /proc/no/such", "that this user may write to")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"broker.id": "x", "zookeeper.connect": "z:1"}, "line 1: broker.id=x: allowed: a whole number"),
        ({"broker.id": "1"}, "zookeeper.connect is missing"),
        ({"zookeeper.connect": "z:1", "listeners": "SSL://:1"}, "line 2: listeners=SSL://:1: allowed"),
    ],
)
async def test_wrong_settings_are_named(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    await refused(Process("wrong", "broker", settings, tmp_path), words, "Correct .*wrong.properties")


async def test_a_broker_killed_and_restarted_at_once_does_not_wait_for_its_old_session(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1, zookeeper_session_timeout_ms="20000") as cluster:
        cluster.kill(0)
        cluster.start(0)
        await cluster.registered(0, limit=8)


async def test_a_broker_without_an_id_takes_one_and_keeps_it(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        settings = {**cluster.nodes[0].process.settings, "log.dirs": str(tmp_path / "new")}
        settings["listeners"] = f"PLAINTEXT://127.0.0.1:{free_port()}"
        del settings["advertised.listeners"], settings["broker.id"]
        unnamed = Process("unnamed", "broker", settings, tmp_path)
        for _ in range(2):
            unnamed.start()
            try:
                await cluster.registered(0, 1001)
            finally:
                unnamed.signal(signal.SIGTERM)
                await unnamed.ended()


async def test_a_broker_stops_cleanly_while_zookeeper_is_away(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        await cluster.create("orders", [[0]])
        await cluster.produce("orders", [b"kept"])
        cluster.zookeeper.kill()
        node = cluster.nodes[0]

        async def noticed() -> bool:
            return "lost" in node.process.output() or "disconnected" in node.process.output()

        await eventually("the broker notices", noticed)
        assert await cluster.stop(0) == 0
        assert (node.data / ".kafka_cleanshutdown").exists()
        assert "Traceback" not in node.process.output()
        cluster.zookeeper.start()
        cluster.start(0)
        await cluster.leader("orders")
        assert await cluster.read("orders") == [b"kept"]


async def test_a_stop_that_comes_during_the_start_is_a_stop(tmp_path: Path) -> None:
    settings = {
        "broker.id": "0",
        "log.dirs": str(tmp_path / "logs"),
        "zookeeper.connect": f"127.0.0.1:{free_port()}",
    }
    process = Process("waiting", "broker", settings, tmp_path)
    process.start()

    async def starting() -> bool:
        return "] starting" in process.output()

    await eventually("it starts", starting)
    process.signal(signal.SIGINT)
    assert await process.ended() == 0
    assert "Traceback" not in process.output()
