"""Two and three brokers with real logs and sockets: what acks=all means, and what a change of leader does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from broker.config import LogConfig
from broker.replication.fetchers import fetcher_of
from broker.wire.batch import headers
from broker.wire.errors import ErrorCode
from tests.replication.brokers import Cluster, until

Make = Callable[..., Cluster]

BOTH = pytest.mark.parametrize("ibp", ["3.9", "2.6"])


@BOTH
async def test_acks_all_is_answered_when_every_in_sync_replica_has_the_record(make_cluster: Make, ibp: str) -> None:
    cluster = make_cluster(ibp=ibp)
    await cluster.start(1, 2, 3)
    cluster.elect(1, isr=[1, 2, 3])
    answer = await cluster.produce(1, "a", "b")
    assert (answer.error_code, answer.base_offset) == (0, 0)
    assert [broker.values for broker in cluster.brokers.values()] == [["a", "b"]] * 3
    assert cluster.brokers[1].hosted.log.high_watermark == 2


@BOTH
async def test_followers_hold_the_same_bytes_as_their_leader(make_cluster: Make, ibp: str) -> None:
    cluster = make_cluster(ibp=ibp)
    await cluster.start(1, 2, 3)
    cluster.elect(2, isr=[1, 2, 3])
    for value in ("a", "b", "c"):
        await cluster.produce(2, value, value)
    held = {broker.hosted.log.read(0, 1 << 20, 6).records for broker in cluster.brokers.values()}
    assert len(held) == 1
    assert [head.leader_epoch for _, head in headers(held.pop())] == [1, 1, 1]


async def test_followers_learn_the_high_watermark_with_their_next_fetch(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    await cluster.produce(1, "a")
    await until(lambda: cluster.brokers[2].hosted.log.high_watermark == 1)


async def test_acks_all_does_not_wait_for_the_followers_fetch_to_time_out(make_cluster: Make) -> None:
    cluster = make_cluster(replica_fetch_wait_max_ms=10_000)
    await cluster.start(1, 2, 3)
    cluster.elect(1, isr=[1, 2, 3])
    async with asyncio.timeout(5):
        for value in range(20):
            await cluster.produce(1, str(value))


async def test_a_produce_waits_for_an_in_sync_follower_that_is_away_until_it_is_dropped(make_cluster: Make) -> None:
    cluster = make_cluster(replica_lag_time_max_ms=300)
    await cluster.start(1, 2, 3)
    cluster.elect(1, isr=[1, 2, 3])
    await cluster.produce(1, "a")
    await cluster.cut(3)
    answer = await cluster.produce(1, "b")
    assert answer.error_code == 0
    assert 3 not in cluster.isr
    await until(lambda: sorted(cluster.isr) == [1, 2])  # on a busy machine broker 2 may have been dropped, too
    assert cluster.brokers[2].values == ["a", "b"]


async def test_a_produce_whose_time_is_up_is_told_so_though_its_record_is_in_the_log(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1)
    cluster.elect(1, isr=[1, 2])
    answer = await cluster.produce(1, "a", timeout_ms=50)
    assert answer.error_code == ErrorCode.REQUEST_TIMED_OUT
    assert cluster.brokers[1].values == ["a"]
    assert (await cluster.fetch(1, 0)).records in (b"", None)
    assert len(cluster.brokers[1].hosted.acks) == 0


async def test_a_produce_that_waits_when_leadership_is_lost_is_told_so(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2, 3])
    waiting = asyncio.ensure_future(cluster.produce(1, "a"))
    await until(lambda: len(cluster.brokers[1].hosted.acks) == 1)
    cluster.elect(2, isr=[2, 3])
    assert (await waiting).error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER


async def test_a_produce_that_waits_when_the_log_dir_fails_is_told_so_and_the_dir_is_reported(
    make_cluster: Make,
) -> None:
    cluster = make_cluster()
    await cluster.start(1)
    cluster.elect(1, isr=[1, 2])
    broker = cluster.brokers[1]
    waiting = asyncio.ensure_future(cluster.produce(1, "a"))
    await until(lambda: len(broker.hosted.acks) == 1)
    directory = broker.hosted.log.log_dir
    broker.logdirs.dir_failed(directory, OSError(5, "Input/output error"))
    assert (await waiting).error_code == ErrorCode.KAFKA_STORAGE_ERROR
    assert (await cluster.produce(1, "b")).error_code == ErrorCode.KAFKA_STORAGE_ERROR
    assert broker.failed_dirs[0] == directory


async def test_too_few_in_sync_replicas_refuse_acks_all_before_anything_is_written(make_cluster: Make) -> None:
    cluster = make_cluster(log_config=LogConfig.of(min_insync_replicas=2))
    await cluster.start(1)
    cluster.elect(1, isr=[1])
    assert (await cluster.produce(1, "a")).error_code == ErrorCode.NOT_ENOUGH_REPLICAS
    assert cluster.brokers[1].values == []
    assert (await cluster.produce(1, "b", acks=1)).error_code == 0


@BOTH
async def test_what_a_deposed_leader_alone_wrote_is_cut_when_it_follows(make_cluster: Make, ibp: str) -> None:
    cluster = make_cluster(ibp=ibp)
    await cluster.start(1, 2, 3)
    cluster.elect(1, isr=[1, 2, 3])
    await cluster.produce(1, "a")
    for other in (2, 3):  # they fetch no longer, and so do not see what comes
        cluster.brokers[other].replicas.fetchers.remove("orders", 0)
    await asyncio.sleep(0.15)
    await cluster.produce(1, "lost-1", "lost-2", acks=1)
    cluster.elect(2, isr=[2, 3])
    assert (await cluster.produce(2, "b")).error_code == 0
    await until(lambda: cluster.brokers[1].values == ["a", "b"])
    await until(lambda: sorted(cluster.isr) == [1, 2, 3])
    assert cluster.brokers[1].hosted.log.leader_epochs.entries() == [(1, 0), (2, 1)]


@BOTH
async def test_a_follower_that_was_away_catches_up_and_joins_again(make_cluster: Make, ibp: str) -> None:
    cluster = make_cluster(ibp=ibp, replica_lag_time_max_ms=400)
    await cluster.start(1, 2, 3)
    cluster.elect(1, isr=[1, 2, 3])
    await cluster.produce(1, "a")
    await cluster.cut(2)
    cluster.elect(1, isr=[1, 3])
    for value in "bcdefgh":
        assert (await cluster.produce(1, value)).error_code == 0
    await cluster.start(2)
    cluster.tell(2, [1, 2, 3])
    await until(lambda: sorted(cluster.isr) == [1, 2, 3])
    assert cluster.brokers[2].values == list("abcdefgh")


@BOTH
async def test_a_restarted_follower_keeps_what_it_had_above_its_high_watermark(make_cluster: Make, ibp: str) -> None:
    """KIP-101, scenario 1: both lose their high watermarks; the one that restarts must not cut what is committed."""
    cluster = make_cluster(ibp=ibp)
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    await cluster.produce(1, "a", "b")
    await cluster.cut(2)
    await cluster.start(2)
    cluster.tell(2, [1, 2])
    before = cluster.brokers[2].values
    await cluster.cut(1)
    cluster.elect(2, isr=[2], replicas=[1, 2])
    assert before == ["a", "b"]
    assert cluster.brokers[2].values == ["a", "b"]


async def test_an_unclean_leader_makes_its_followers_cut_to_it(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    await cluster.produce(1, "a")
    await cluster.cut(2)
    cluster.elect(1, isr=[1], replicas=[1, 2])
    await cluster.produce(1, "b")
    await cluster.cut(1)
    await cluster.start(2)
    cluster.elect(2, isr=[2], replicas=[1, 2])
    await cluster.start(1)
    cluster.tell(1, [1, 2])
    await until(lambda: sorted(cluster.isr) == [1, 2])
    assert cluster.brokers[1].values == ["a"]
    assert cluster.brokers[1].hosted.log.high_watermark <= 1


async def test_while_an_isr_proposal_is_pending_the_maximal_isr_counts(make_cluster: Make) -> None:
    cluster = make_cluster(replica_lag_time_max_ms=800)  # a busy machine may let a follower wait for some 300
    cluster.accepts = False
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2, 3])
    answer = await cluster.produce(1, "a", timeout_ms=1600)
    assert answer.error_code == ErrorCode.REQUEST_TIMED_OUT
    assert [proposal.isr for proposal in cluster.proposals] == [(1, 2)]
    cluster.accept(cluster.brokers[1].hosted, cluster.proposals[0])
    await until(lambda: cluster.brokers[1].hosted.log.high_watermark == 1)


async def test_a_resent_leader_and_isr_is_refused_and_leaves_fetching_alone(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    fetchers = cluster.brokers[2].replicas.fetchers
    assert fetchers.follows("orders", 0)
    assert cluster.tell(2, [1, 2]) == {("orders", 0): ErrorCode.STALE_CONTROLLER_EPOCH}
    cluster.epoch -= 1
    assert cluster.tell(2, [1, 2]) == {("orders", 0): ErrorCode.STALE_CONTROLLER_EPOCH}
    cluster.epoch += 1
    assert (await cluster.produce(1, "a")).error_code == 0


async def test_pipelined_produces_are_appended_at_once_and_answered_in_order(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    answers = await asyncio.gather(*(cluster.produce(1, f"v{at}") for at in range(50)))
    assert [answer.base_offset for answer in answers] == list(range(50))
    assert {answer.error_code for answer in answers} == {0}
    assert cluster.brokers[2].values == [f"v{at}" for at in range(50)]


async def test_a_topic_that_is_made_again_under_its_name_is_followed_under_its_new_id(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    await cluster.produce(1, "a")
    for broker in cluster.brokers.values():
        broker.replicas.drop("orders", 0, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        broker.logdirs.delete("orders", 0)
    cluster.topic_id = type(cluster.topic_id)(int=78)
    cluster.epoch = 0
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    assert (await cluster.produce(1, "b")).error_code == 0
    assert cluster.brokers[2].values == ["b"]
    [session] = cluster.brokers[1].replicas.sessions
    assert len(session.readers) == 1


async def test_the_session_of_a_follower_that_is_gone_costs_its_partitions_nothing(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    await cluster.produce(1, "a")
    leader = cluster.brokers[1]
    await until(lambda: len(leader.hosted.readers) == 1)
    await cluster.cut(2)
    await until(lambda: not any(session.parked for session in leader.replicas.sessions))
    await cluster.produce(1, "b", acks=1)
    assert not leader.hosted.readers


async def test_more_fetchers_take_over_from_fewer_while_records_come(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    assert (await cluster.produce(1, "a")).error_code == 0
    follower = cluster.brokers[2]
    for count in (3, 2, 5, 1):
        follower.config.num_replica_fetchers = count
        follower.replicas.fetchers.resized()
        assert list(follower.replicas.fetchers._fetchers) == [(1, fetcher_of("orders", 0, count))]
        assert (await cluster.produce(1, str(count))).error_code == 0
    assert follower.values == ["a", "3", "2", "5", "1"]
    assert {fetcher_of("orders", 0, count) for count in (3, 2, 5, 1)} != {0}
