"""What is loaded decides how fast a command starts: nothing that the command does not use."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "kafka",
    "aiokafka",
    "kazoo",
    "textual",
    "rich",
    "psutil",
    "yaml",
    "tomlkit",
    "asyncio",
    "broker",
}
PROGRAM = """
import json, sys
from kops.cli import main
code = main(json.loads(sys.argv[1]))
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


def loaded(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(words)], capture_output=True, text=True, timeout=30, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1])[1])


def test_help_loads_neither_clients_nor_screens_nor_broker() -> None:
    assert not loaded("--help") & HEAVY


def test_help_of_a_noun_loads_no_client() -> None:
    assert not loaded("topic", "--help") & HEAVY
    assert not loaded("partition", "--help") & HEAVY


@pytest.mark.parametrize("line", [["topic", "list"], ["partition", "list"], ["broker", "list"]])
def test_looking_at_a_cluster_loads_one_client_only(line: list[str]) -> None:
    assert not loaded(*line, "-b", "127.0.0.1:1") & {"textual", "aiokafka", "kazoo", "rich", "broker", "pydantic"}


def test_zookeeper_commands_load_no_kafka_client() -> None:
    assert not loaded("zookeeper", "ls", "/", "--zookeeper", "127.0.0.1:1") & {"textual", "aiokafka", "kafka", "rich"}
