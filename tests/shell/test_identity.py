"""Whom a broker takes itself for, from settings, directories and ZooKeeper."""

from __future__ import annotations

import pytest

from broker.cluster.identity import WrongIdentity, check_cluster_id, decide_broker_id


@pytest.mark.parametrize(
    ("configured", "remembered", "decided"),
    [(3, [], 3), (3, [3, 3], 3), (-1, [1001], 1001), (-1, [None, 7], 7), (-1, [], None), (0, [None], 0)],
)
def test_settings_decide_and_directories_remember(
    configured: int, remembered: list[int | None], decided: int | None
) -> None:
    assert decide_broker_id(configured, remembered) == decided


def test_directories_of_another_broker_are_refused_with_what_to_do() -> None:
    with pytest.raises(WrongIdentity, match="Configured broker.id 2 doesn't match stored broker.id 1") as raised:
        decide_broker_id(2, [1])
    assert "broker.id=1" in raised.value.todo


def test_directories_of_another_cluster_are_refused() -> None:
    check_cluster_id("abc", ["abc", None])
    with pytest.raises(WrongIdentity, match="doesn't match stored clusterId Some"):
        check_cluster_id("abc", ["abc", "other"])
