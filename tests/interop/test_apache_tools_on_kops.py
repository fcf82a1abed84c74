"""Apache's own command-line tools, of 3.9 and of 2.6, on three of our brokers: the walkthroughs W2 to W4."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually
from tests.interop.apache import Apache

pytestmark = pytest.mark.timeout(240)

LINES = [f"line {index}" for index in range(200)]


@pytest.mark.parametrize("version", ["3.9", "2.6"])
async def test_create_describe_produce_consume_fail_over_and_delete(
    tmp_path: Path, version: str, request: pytest.FixtureRequest
) -> None:
    apache: Apache = request.getfixturevalue(f"kafka{version.replace('.', '')}")
    package = {"3.9": "org.apache.kafka.tools", "2.6": "kafka.admin"}[version]
    consumer = {"3.9": "org.apache.kafka.tools.consumer.ConsoleConsumer", "2.6": "kafka.tools.ConsoleConsumer"}[version]

    async def run(main: str, *arguments: str, stdin: str = "") -> str:
        return await asyncio.to_thread(apache.run, main, *arguments, stdin=stdin)

    async with Cluster(tmp_path) as cluster:
        at = ",".join(f"127.0.0.1:{node.inbound.port}" for node in cluster.nodes.values())
        topics = f"{package}.TopicCommand"
        shape = ("--replication-factor", "3", "--partitions", "1", "--topic", "my-replicated-topic")
        created = await run(topics, "--bootstrap-server", at, "--create", *shape)
        assert "Created topic my-replicated-topic." in created
        assert (await run(topics, "--bootstrap-server", at, "--list")).split() == ["my-replicated-topic"]

        async def described() -> tuple[int, set[int], set[int]]:
            text = await run(topics, "--bootstrap-server", at, "--describe", "--topic", "my-replicated-topic")
            found = re.search(r"Partition: 0\s+Leader: (\d+)\s+Replicas: ([\d,]+)\s+Isr: ([\d,]+)", text)
            assert found, text
            return int(found[1]), {int(each) for each in found[2].split(",")}, {int(e) for e in found[3].split(",")}

        leader, replicas, isr = await described()
        assert (replicas, isr) == ({0, 1, 2}, {0, 1, 2})
        to = "--bootstrap-server" if version == "3.9" else "--broker-list"
        typed = "\n".join(LINES) + "\n"
        await run("kafka.tools.ConsoleProducer", to, at, "--topic", "my-replicated-topic", stdin=typed)

        async def read() -> list[str]:
            whole = ("--partition", "0", "--offset", "earliest", "--max-messages", str(len(LINES)))
            output = await run(consumer, "--bootstrap-server", at, "--topic", "my-replicated-topic", *whole)
            return output.splitlines()[: len(LINES)]

        assert await read() == LINES
        cluster.kill(leader)
        await cluster.isr("my-replicated-topic", {0, 1, 2} - {leader})
        moved, replicas, isr = await described()
        assert moved != leader
        assert (replicas, isr) == ({0, 1, 2}, {0, 1, 2} - {leader})
        assert await read() == LINES
        cluster.start(leader)
        await cluster.isr("my-replicated-topic", {0, 1, 2})
        await run(topics, "--bootstrap-server", at, "--delete", "--topic", "my-replicated-topic")

        async def gone() -> bool:
            return not (await run(topics, "--bootstrap-server", at, "--list")).split()

        await eventually("the topic is gone", gone)


async def test_the_topic_command_of_kafka_2_through_zookeeper(tmp_path: Path, kafka26: Apache) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        at = ("--zookeeper", f"127.0.0.1:{cluster.zookeeper_port}")

        async def topics(*arguments: str) -> str:
            return await asyncio.to_thread(kafka26.run, "kafka.admin.TopicCommand", *at, *arguments)

        shape = ("--replication-factor", "1", "--partitions", "2", "--topic", "test")
        assert "Created topic test." in await topics("--create", *shape)
        await cluster.leader("test", 1)
        assert (await topics("--list")).split() == ["test"]
        assert re.search(r"Topic: test\s+Partition: 1\s+Leader: 0", await topics("--describe", "--topic", "test"))
        await topics("--alter", "--topic", "test", "--partitions", "3")
        await cluster.leader("test", 2)
        assert "marked for deletion" in await topics("--delete", "--topic", "test")

        async def gone() -> bool:
            return not (await topics("--list")).split() and not list(cluster.nodes[0].data.glob("test-?"))

        await eventually("the topic is gone", gone)
