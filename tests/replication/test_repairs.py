"""How often damage is asked for again: soon, while somebody may have the records, since readers wait for them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from broker.replication.hosted import HostedPartition
from broker.replication.repairs import HOPELESS_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Repairs
from broker.storage.damage import Damaged, holes_of
from tests.storage.support import append, new_log


class Enough(Exception):
    """It has been watched for long enough."""


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == 20:
            raise Enough


@pytest.mark.parametrize("replicas", [(1,), (1, 2)])
async def test_readers_wait_for_seconds_at_most_once_another_replica_is_back(
    tmp_path: Path, replicas: tuple[int, ...]
) -> None:
    log, clock = new_log(tmp_path), Clock()
    append(log, 3, 3)
    data = bytearray(Path(log.segments[0].path(".log")).read_bytes())
    data[70] ^= 1
    Path(log.segments[0].path(".log")).write_bytes(data)
    with pytest.raises(Damaged):
        log.read(0, 1000, log.log_end_offset)
    hosted = SimpleNamespace(log=log, partition=SimpleNamespace(leader=1, isr=replicas, replicas=replicas))
    config = SimpleNamespace(broker_id=1, inter_broker_listener=lambda: "PLAINTEXT")
    away = SimpleNamespace(endpoint=lambda *_: None)
    repairs = Repairs(cast(Any, config), cast(Any, clock), cast(Any, None), cast(Any, away), lambda _: True)
    with pytest.raises(Enough):
        await repairs._mend_all(cast(HostedPartition, hosted))
    [(_, hole)] = holes_of(log)
    alone = len(replicas) == 1
    assert hole.is_hopeless == alone
    assert max(clock.slept) == (HOPELESS_PAUSE_SECONDS if alone else LONGEST_PAUSE_SECONDS)
