"""Throttled replication: the rate as Kafka counts it, whom it holds back, and what it comes to on real sockets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from broker.config import KafkaConfig, LogConfig
from broker.replication.quota import Throttle, Throttles
from tests.replication.brokers import Cluster, until

Make = Callable[..., Cluster]

RATE = 400_000
BATCH = 25_000
BATCHES = 40


def test_a_burst_is_paid_for_by_the_seconds_after_it() -> None:
    throttle = Throttle(11, 1.0, lambda: 100)
    assert not throttle.is_exceeded(0.0)
    throttle.record(1000, 0.0)
    for now, rate, exceeded in ((0.0, 1000, True), (5.0, 200, True), (9.9, 101, True), (10.1, 99, False)):
        assert (round(throttle.rate(now)), throttle.is_exceeded(now)) == (rate, exceeded)


def test_what_is_older_than_all_samples_is_forgotten() -> None:
    throttle = Throttle(3, 2.0, lambda: 100)
    throttle.record(10_000, 0.0)
    throttle.record(50, 2.5)
    assert throttle.rate(5.9) == pytest.approx(10_050 / 5.9)
    assert throttle.rate(6.0) == pytest.approx(50 / 3.5)
    assert throttle.rate(60.0) == 0


def test_a_steady_flow_at_the_limit_is_let_through_and_a_limit_of_none_lets_all_through() -> None:
    limit: list[float | None] = [100]
    throttle = Throttle(11, 1.0, lambda: limit[0])
    for second in range(40):
        throttle.record(90, float(second))
        assert not throttle.is_exceeded(second + 0.99)
    throttle.record(100_000, 40.0)
    assert throttle.is_exceeded(40.0)
    limit[0] = None
    assert not throttle.is_exceeded(40.0)
    limit[0] = 0
    assert throttle.is_exceeded(45.0)


@pytest.mark.parametrize(
    ("listed", "partition", "named"),
    [
        ((), 0, False),
        (("*",), 7, True),
        (("0:1", "1:2"), 0, True),
        (("0:1", "1:2"), 1, False),
        (("10:1",), 0, False),
    ],
)
def test_whom_a_list_of_throttled_replicas_names(listed: tuple[str, ...], partition: int, named: bool) -> None:
    assert Throttles(KafkaConfig.of(1)).names(listed, partition) is named


def throttled(side: str) -> dict[str, object]:
    return {
        "log_config": LogConfig.of(**{f"{side}_replication_throttled_replicas": ("*",)}),
        f"{side}_replication_throttled_rate": RATE,
        "replica_fetch_max_bytes": BATCH,
    }


@pytest.mark.parametrize("side", ["leader", "follower"])
async def test_a_follower_outside_of_the_isr_catches_up_no_faster_than_its_throttle(
    make_cluster: Make, side: str
) -> None:
    cluster = make_cluster(**throttled(side))
    cluster.accepts = False
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1], replicas=[1])
    for _ in range(BATCHES):
        assert (await cluster.produce(1, "x" * (BATCH - 200))).error_code == 0
    leader, clock = cluster.brokers[1].hosted.log, cluster.brokers[1].host.clock
    began = clock.monotonic()
    cluster.elect(1, isr=[1], replicas=[1, 2])
    await until(lambda: cluster.brokers[2].hosted.log.log_end_offset == leader.log_end_offset, "it caught up")
    seconds = clock.monotonic() - began
    assert BATCH * (BATCHES - 3) / seconds < RATE * 1.2, f"{seconds:.2f} s"


async def test_a_follower_in_the_isr_is_never_held_back(make_cluster: Make) -> None:
    cluster = make_cluster(**throttled("leader") | {"leader_replication_throttled_rate": 1})
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    for _ in range(4):
        assert (await cluster.produce(1, "x" * 1000)).error_code == 0
    assert len(cluster.brokers[2].values) == 4
