"""Apache's own command-line tools, of 3.9 and of 2.6, on three of our brokers: the walkthroughs W2 to W4."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually
from tests.interop.apache import Apache
from tests.interop.tools import PREFERRED_26, REASSIGN_26, TOPICS_26, Tools

pytestmark = pytest.mark.timeout(240)

LINES = [f"line {index}" for index in range(200)]


@pytest.mark.parametrize("version", ["3.9", "2.6"])
async def test_create_describe_produce_consume_fail_over_and_delete(
    tmp_path: Path, version: str, request: pytest.FixtureRequest
) -> None:
    apache: Apache = request.getfixturevalue(f"kafka{version.replace('.', '')}")
    tools: Tools = request.getfixturevalue(f"tools{version.replace('.', '')}")
    package = {"3.9": "org.apache.kafka.tools", "2.6": "kafka.admin"}[version]
    consumer = {"3.9": "org.apache.kafka.tools.consumer.ConsoleConsumer", "2.6": "kafka.tools.ConsoleConsumer"}[version]

    async def run(main: str, *arguments: str, stdin: str = "") -> str:
        return await asyncio.to_thread(apache.run, main, *arguments, stdin=stdin)

    async with Cluster(tmp_path) as cluster:
        at = ",".join(f"127.0.0.1:{node.inbound.port}" for node in cluster.nodes.values())

        async def topics(*arguments: str) -> str:
            return await asyncio.to_thread(tools, f"{package}.TopicCommand", "--bootstrap-server", at, *arguments)

        shape = ("--replication-factor", "3", "--partitions", "1", "--topic", "my-replicated-topic")
        created = await topics("--create", *shape)
        assert "Created topic my-replicated-topic." in created
        assert (await topics("--list")).split() == ["my-replicated-topic"]

        async def described() -> tuple[int, set[int], set[int]]:
            text = await topics("--describe", "--topic", "my-replicated-topic")
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
        await topics("--delete", "--topic", "my-replicated-topic")

        async def gone() -> bool:
            return not (await topics("--list")).split()

        await eventually("the topic is gone", gone)


async def test_the_tools_of_kafka_2_through_zookeeper(tmp_path: Path, tools26: Tools) -> None:
    async with Cluster(tmp_path, brokers=2) as cluster:
        at = ("--zookeeper", f"127.0.0.1:{cluster.zookeeper_port}")

        async def run(tool: str, *arguments: str, code: int = 0) -> str:
            return await asyncio.to_thread(tools26, tool, *at, *arguments, code=code)

        async def topics(*arguments: str, code: int = 0) -> str:
            return await run(TOPICS_26, *arguments, code=code)

        shape = ("--replica-assignment", "0,0", "--topic", "test")
        assert "Created topic test." in await topics("--create", *shape)
        await cluster.leader("test", 1)
        assert "Topic 'test' already exists." in await topics("--create", *shape, code=1)
        assert (await topics("--list")).split() == ["test"]
        assert re.search(r"Topic: test\s+Partition: 1\s+Leader: 0", await topics("--describe", "--topic", "test"))
        assert (await topics("--describe", "--under-replicated-partitions")).strip() == ""
        await topics("--alter", "--topic", "test", "--partitions", "3", "--replica-assignment", "0,0,0")
        await cluster.leader("test", 2)
        await topics("--alter", "--topic", "test", "--config", "retention.ms=70000")
        assert "Configs: retention.ms=70000" in await topics("--describe", "--topic", "test")
        moves = [{"topic": "test", "partition": index, "replicas": [1, 0]} for index in range(3)]
        plan = tmp_path / "moves.json"
        plan.write_text(json.dumps({"version": 1, "partitions": moves}))
        await run(REASSIGN_26, "--execute", "--reassignment-json-file", str(plan))
        for index in range(3):
            await cluster.isr("test", {0, 1}, index)

        async def moved() -> bool:
            said = await run(REASSIGN_26, "--verify", "--reassignment-json-file", str(plan))
            return said.count("is complete.") == 3

        await eventually("the partitions are moved", moved)
        assert "Successfully started preferred replica election" in await run(PREFERRED_26)

        async def elected() -> bool:
            return [(await cluster.partition("test", index)).leader_id for index in range(3)] == [1, 1, 1]

        await eventually("the preferred replicas lead", elected)
        assert "marked for deletion" in await topics("--delete", "--topic", "test")

        async def gone() -> bool:
            left = [path for node in cluster.nodes.values() for path in node.data.glob("test-?")]
            return not (await topics("--list")).split() and not left

        await eventually("the topic is gone", gone)
