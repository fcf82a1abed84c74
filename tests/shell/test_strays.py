"""Directories without a topic id, whose topic ZooKeeper does not know, are set aside; all others stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from uuid import UUID

from broker.config import KafkaConfig, LogConfig
from broker.host import real_host
from broker.storage.logdirs import LogDirs
from broker.strays import set_strays_aside
from broker.zk.operations import ConnectionLost, Exists, Result, ZkCode
from tests.storage.support import append


class ZooKeeper:
    """Knows some topics; or is away."""

    def __init__(self, *topics: str, away: bool = False) -> None:
        self.paths = {f"/brokers/topics/{topic}" for topic in topics}
        self.away = away

    async def request(self, operations: list[Any]) -> list[Result]:
        if self.away:
            raise ConnectionLost(ZkCode.CONNECTION_LOSS)
        codes = [
            ZkCode.NO_NODE if isinstance(each, Exists) and each.path not in self.paths else ZkCode.OK
            for each in operations
        ]
        return [Result(code, each.path) for code, each in zip(codes, operations, strict=True)]


class Replicas:
    def __init__(self, logdirs: LogDirs, *served: str) -> None:
        self.logdirs = logdirs
        self.served = served

    def get(self, topic: str, index: int) -> object | None:
        return object() if topic in self.served else None


async def test_only_what_has_no_id_is_not_served_and_not_in_zookeeper_is_set_aside(tmp_path: Path) -> None:
    config = LogConfig.of()
    dirs = LogDirs(real_host(), KafkaConfig.of(log_dirs=(str(tmp_path),)), lambda *_: None, lambda reason: None)
    dirs.lock_and_read_meta()
    for topic, topic_id in (("gone", None), ("known", None), ("served", None), ("with-id", UUID(int=9))):
        append(dirs.get_or_create(topic, 0, topic_id, config, is_new=True), 3)
    replicas = cast(Any, Replicas(dirs, "served"))
    await set_strays_aside(replicas, cast(Any, ZooKeeper(away=True)))
    assert dirs.get("gone", 0) is not None
    await set_strays_aside(replicas, cast(Any, ZooKeeper("known")))
    assert dirs.get("gone", 0) is None
    names = sorted(each.name for each in tmp_path.iterdir() if each.is_dir())
    assert names[0].startswith("gone-0.") and names[0].endswith("-stray")
    assert names[1:] == ["known-0", "served-0", "with-id-0"]
    fresh = dirs.get_or_create("gone", 0, None, config, is_new=True)
    assert fresh.log_end_offset == 0
    for log in dirs.logs():
        log.close()
    dirs.release_locks()
