"""Apache's own tools move replicas between the log directories of our brokers, and limit how fast."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually
from tests.interop.tools import CONFIGS, LOG_DIRS, REASSIGN, Tools


def plan(path: Path, replicas: list[int], log_dirs: list[str]) -> str:
    entry = {"topic": "moved", "partition": 0, "replicas": replicas, "log_dirs": log_dirs}
    path.write_text(json.dumps({"version": 1, "partitions": [entry]}))
    return str(path)


async def test_kafka_reassign_partitions_moves_between_brokers_and_directories(tmp_path: Path, tools39: Tools) -> None:
    cluster = Cluster(tmp_path, brokers=2)
    for node in cluster.nodes.values():
        node.process.settings["log.dirs"] = f"{node.data}/a,{node.data}/b"

    async with cluster:
        at = ("--bootstrap-server", ",".join(f"127.0.0.1:{node.inbound.port}" for node in cluster.nodes.values()))

        async def run(tool: str, *words: str) -> str:
            return await asyncio.to_thread(tools39, tool, *at, *words, code=None)

        async def where() -> dict[tuple[int, str], dict[str, Any]]:
            said = await run(LOG_DIRS, "--describe", "--topic-list", "moved")
            told = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
            return {
                (broker["broker"], each["logDir"].rpartition("/")[2]): each["partitions"][0]
                for broker in told["brokers"]
                for each in broker["logDirs"]
                if each["partitions"]
            }

        await cluster.create("moved", [[0]])
        values = [b"%04d" % number + b"x" * 5000 for number in range(400)]
        for start in range(0, 400, 50):
            await cluster.produce("moved", values[start : start + 50])
        [(_, old)] = await where()
        new = {"a": "b", "b": "a"}[old]
        target = f"{cluster.nodes[0].data}/{new}"
        file = plan(tmp_path / "across.json", [0], [target])
        limits = ("--throttle", "50000000", "--replica-alter-log-dirs-throttle", "300000")
        said = await run(REASSIGN, "--execute", "--reassignment-json-file", file, *limits)
        assert f"Successfully started moving log directory to {target} for replica moved-0" in said, said
        moving = await where()
        assert moving[0, new]["isFuture"] and moving[0, new]["offsetLag"] > 0 and not moving[0, old]["isFuture"]
        said = await run(REASSIGN, "--verify", "--reassignment-json-file", file, "--preserve-throttles")
        assert "Reassignment of replica moved-0-0 is still in progress" in said, said
        said = await run(CONFIGS, "--describe", "--entity-type", "brokers", "--entity-name", "0")
        assert "replica.alter.log.dirs.io.max.bytes.per.second=300000" in said, said
        said = await run(
            *(CONFIGS, "--alter", "--entity-type", "brokers", "--entity-name", "0"),
            *("--delete-config", "replica.alter.log.dirs.io.max.bytes.per.second"),
        )
        assert "Completed updating config" in said, said

        async def verified() -> bool:
            said = await run(REASSIGN, "--verify", "--reassignment-json-file", file)
            assert "failed" not in said.lower(), said
            return "Reassignment of replica moved-0-0 completed successfully" in said

        await eventually("the tool says that the move is done", verified)
        assert list(await where()) == [(0, new)]
        other = f"{cluster.nodes[1].data}/b"
        file = plan(tmp_path / "away.json", [1], [other])
        said = await run(REASSIGN, "--execute", "--reassignment-json-file", file, "--throttle", "50000000")
        assert "Successfully started partition reassignment for moved-0" in said, said

        async def moved_away() -> bool:
            said = await run(REASSIGN, "--verify", "--reassignment-json-file", file)
            return bool(re.search(r"Reassignment of partition moved-0 is (completed|complete)", said))

        await eventually("the tool says that the reassignment is done", moved_away)
        assert list(await where()) == [(1, "b")]
        said = await run(CONFIGS, "--describe", "--entity-type", "topics", "--entity-name", "moved")
        assert "throttled.replicas" not in said, said
        assert await cluster.read("moved") == values
