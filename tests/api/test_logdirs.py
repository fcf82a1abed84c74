"""DescribeLogDirs: sizes, the file system's bytes, and directories that are offline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from broker.api.context import Context
from broker.api.logdirs import describe_log_dirs
from broker.api.services import Services
from broker.api.table import Table
from broker.config import KafkaConfig
from broker.host import real_host
from broker.storage.logdirs import LogDirs
from broker.wire import codec
from broker.wire.errors import ErrorCode
from broker.wire.messages.describe_log_dirs import (
    DescribableLogDirTopic,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
)


@dataclass
class Log:
    log_dir: str
    topic: str
    partition: int
    size: int
    high_watermark: int = 5
    log_end_offset: int = 5


@dataclass
class Dirs:
    live_dirs: tuple[str, ...]
    offline_dirs: tuple[str, ...]
    all: list[Log]
    futures: Any = None

    def __post_init__(self) -> None:
        if self.futures is None:
            self.futures = Dirs((), (), [], self)

    def logs(self) -> Any:
        return iter(self.all)

    def get(self, topic: str, partition: int) -> Log | None:
        return next((each for each in self.all if (each.topic, each.partition) == (topic, partition)), None)


async def ask(dirs: Dirs, request: DescribeLogDirsRequest, version: int = 4) -> DescribeLogDirsResponse:
    services = Services(config=KafkaConfig.of(), host=real_host(), table=Table([]))
    services.logdirs = cast(LogDirs, dirs)
    reply = await describe_log_dirs(Context(cast(Any, None), services, 35, version, 1, None, 0.0), request)
    found = codec.decode_response(35, version, codec.encode_response(35, version, 1, reply)[4:])[1]
    assert isinstance(found, DescribeLogDirsResponse)
    return found


async def test_every_directory_is_told_with_what_is_in_it(tmp_path: Path) -> None:
    here = str(tmp_path)
    dirs = Dirs((here,), ("/gone",), [Log(here, "b", 0, 10), Log(here, "a", 1, 20), Log(here, "a", 0, 30, 9, 7)])
    reply = await ask(dirs, DescribeLogDirsRequest(topics=None))
    found, gone = reply.results
    assert [topic.name for topic in found.topics] == ["a", "b"]
    sizes = [(part.partition_index, part.partition_size, part.offset_lag) for part in found.topics[0].partitions]
    assert sizes == [(1, 20, 0), (0, 30, 2)]
    assert found.total_bytes >= found.usable_bytes > 0
    assert (gone.log_dir, gone.error_code, gone.total_bytes) == ("/gone", ErrorCode.KAFKA_STORAGE_ERROR, -1)


async def test_a_replica_on_its_way_is_told_beside_the_one_that_serves_with_what_it_lacks(tmp_path: Path) -> None:
    here, there = str(tmp_path / "a"), str(tmp_path / "b")
    for each in (here, there):
        Path(each).mkdir()
    moving = Dirs((), (), [Log(there, "a", 0, 4, 2, 2), Log(there, "gone", 1, 0, 0, 0)], "itself")
    reply = await ask(
        Dirs((here, there), (), [Log(here, "a", 0, 30, 9, 7)], moving), DescribeLogDirsRequest(topics=None)
    )
    told = [
        (topic.name, part.partition_size, part.offset_lag, part.is_future_key)
        for result in reply.results
        for topic in result.topics
        for part in topic.partitions
    ]
    assert told == [("a", 30, 2, False), ("a", 4, 5, True), ("gone", 0, -1, True)]


async def test_only_what_is_asked_for_is_told(tmp_path: Path) -> None:
    here = str(tmp_path)
    dirs = Dirs((here,), (), [Log(here, "a", 0, 1), Log(here, "a", 1, 2), Log(here, "b", 0, 3)])
    wanted = DescribeLogDirsRequest(topics=[DescribableLogDirTopic(topic="a", partitions=[1, 7])])
    for version in range(5):
        [found] = (await ask(dirs, wanted, version)).results
        assert [(topic.name, [part.partition_index for part in topic.partitions]) for topic in found.topics] == [
            ("a", [1])
        ]


async def test_a_directory_whose_disk_does_not_answer_is_an_error(tmp_path: Path) -> None:
    [found] = (await ask(Dirs((str(tmp_path / "missing"),), (), []), DescribeLogDirsRequest(topics=None))).results
    assert found.error_code == ErrorCode.KAFKA_STORAGE_ERROR
