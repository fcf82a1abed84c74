"""A command line that runs in this process, with contexts and state of its own, on a cluster made of plain data."""

import gc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kops.cli import main
from kops.session import Session


@dataclass
class Said:
    code: int
    out: str
    err: str


@dataclass
class FakeAdmin:
    """Remembers what was asked; answers as kafka-python's admin client does."""

    calls: list[tuple[str, Any]] = field(default_factory=list)
    created_error: int = 0
    deleted_error: int = 0
    configs: dict[str, dict[str, str]] = field(default_factory=dict)

    def create_topics(self, topics: dict[str, Any], **options: Any) -> dict[str, Any]:
        self.calls.append(("create", topics))
        results = [
            {"name": name, "error_code": self.created_error, "error_message": f"Topic '{name}' already exists."}
            for name in topics
        ]
        return {"topics": results}

    def delete_topics(self, topics: list[str], **options: Any) -> dict[str, Any]:
        self.calls.append(("delete", topics))
        return {"topics": [{"name": name, "error_code": self.deleted_error, "error_message": None} for name in topics]}

    def describe_configs(self, resources: list[Any], **options: Any) -> dict[str, Any]:
        named = {one.name: self.configs.get(one.name, {}) for one in resources}
        entries = {
            name: {key: {"value": value, "config_source": "DYNAMIC_TOPIC_CONFIG"} for key, value in found.items()}
            for name, found in named.items()
        }
        return {"topic": entries}

    def close(self) -> None:
        self.calls.append(("close", None))


class FakeSession(Session):
    """Two brokers, the topics `orders` (2 partitions, one out of sync) and the internal `__consumer_offsets`."""

    fake = FakeAdmin()
    gone: frozenset[str] = frozenset()
    kraft = False

    @property
    def admin(self) -> Any:
        return self.fake

    def send(self, request: Any, broker: int | None = None) -> Any:
        wanted = request.topics
        topics = [topic for topic in _TOPICS if topic.name not in self.gone]
        if wanted is not None:
            names = [one.name for one in wanted]
            found = {topic.name: topic for topic in topics}
            topics = [found.get(name) or _unknown(name) for name in names]
        return SimpleNamespace(
            cluster_id="abc",
            controller_id=1,
            brokers=[_broker(2), _broker(1)],
            topics=topics,
        )


def _broker(number: int) -> Any:
    return SimpleNamespace(node_id=number, host="127.0.0.1", port=9091 + number, rack=None)


def _partition(index: int, leader: int, replicas: list[int], isr: list[int]) -> Any:
    return SimpleNamespace(
        partition_index=index,
        leader_id=leader,
        leader_epoch=3,
        replica_nodes=replicas,
        isr_nodes=isr,
        offline_replicas=[],
        error_code=0,
    )


def _unknown(name: str) -> Any:
    return SimpleNamespace(name=name, topic_id=None, is_internal=False, partitions=[], error_code=3)


_TOPICS = [
    SimpleNamespace(
        name="orders",
        topic_id="b3929bfc-31b4-4d4b-b8e3-fb66bb64d556",
        is_internal=False,
        partitions=[_partition(0, 1, [1, 2], [1, 2]), _partition(1, 1, [2, 1], [1])],
        error_code=0,
    ),
    SimpleNamespace(
        name="__consumer_offsets",
        topic_id=None,
        is_internal=True,
        partitions=[_partition(0, 2, [2], [2])],
        error_code=0,
    ),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Contexts and state of its own, and no wish from the environment of whoever runs the tests.

    Afterwards the sockets of refused connections, which kafka-python leaves to the garbage collector, are collected.
    """
    for name in ("KOPS_CONTEXT", "KOPS_BOOTSTRAP_SERVERS", "KOPS_ZOOKEEPER", "KOPS_OUTPUT", "KOPS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def kops(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """``kops("topic", "list")`` as the program would do it."""

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main(words)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> type[FakeSession]:
    """Every command works on the fake cluster. Returns its class, to be changed by a test."""

    class Fresh(FakeSession):
        fake = FakeAdmin()

    monkeypatch.setattr("kops.commands.run.Session", Fresh)
    return Fresh


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """kafka-python reads its message definitions through an API of importlib that is deprecated."""
    for item in items:
        if "tests/kops" in str(item.path):
            item.add_marker(pytest.mark.filterwarnings("ignore:.*_text is deprecated:DeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))
