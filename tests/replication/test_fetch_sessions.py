"""Fetch sessions: the table of (id, epoch), what an incremental request changes, and who makes room (KIP-227)."""

from __future__ import annotations

from random import Random
from uuid import UUID

import pytest

from broker.replication.fetch_sessions import FetchSession, FetchSessions
from broker.replication.follower import Phase, Question
from broker.replication.leader_session import LeaderSession
from broker.replication.purgatory import Wake
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.fetch import FetchPartition, FetchTopic, ForgottenTopic

CONSUMER, FOLLOWER = -1, 2


def sessions(slots: int = 3) -> FetchSessions:
    return FetchSessions(slots, Random(1), Wake())


def named(**offsets: int) -> list[FetchTopic]:
    """``a=5``: topic a, partition 0, from offset 5."""
    return [
        FetchTopic(topic=topic, partitions=[FetchPartition(partition=0, fetch_offset=offset)])
        for topic, offset in offsets.items()
    ]


def fails_with(error: ErrorCode, cache: FetchSessions, session_id: int, epoch: int, ids: bool = False) -> None:
    with pytest.raises(KafkaError) as caught:
        cache.open(session_id, epoch, CONSUMER, ids, 0.0)
    assert caught.value.code == error


def test_a_final_epoch_asks_for_no_session() -> None:
    cache = sessions()
    session, full = cache.open(0, -1, CONSUMER, False, 0.0)
    assert (session.session_id, full, len(cache)) == (0, True, 0)


def test_epoch_zero_grants_a_session_that_goes_on_with_one_and_two() -> None:
    cache = sessions()
    session, full = cache.open(0, 0, CONSUMER, False, 0.0)
    assert full
    for epoch in (1, 2, 3):
        assert cache.open(session.session_id, epoch, CONSUMER, False, 1.0) == (session, False)


def test_wrong_ids_epochs_and_ways_of_naming_are_refused() -> None:
    cache = sessions()
    session, _ = cache.open(0, 0, CONSUMER, False, 0.0)
    fails_with(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, cache, session.session_id + 1, 1)
    fails_with(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, cache, 0, 1)
    fails_with(ErrorCode.INVALID_FETCH_SESSION_EPOCH, cache, session.session_id, 2)
    fails_with(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR, cache, session.session_id, 1, ids=True)
    assert cache.open(session.session_id, 1, CONSUMER, False, 0.0) == (session, False)


def test_an_id_with_epoch_zero_or_final_closes_that_session() -> None:
    cache = sessions()
    first, _ = cache.open(0, 0, CONSUMER, False, 0.0)
    second, full = cache.open(first.session_id, 0, CONSUMER, False, 0.0)
    assert full
    fails_with(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, cache, first.session_id, 1)
    cache.open(second.session_id, -1, CONSUMER, False, 0.0)
    assert len(cache) == 0


def test_the_epoch_wraps_to_one_because_zero_means_full() -> None:
    session = FetchSession(7, CONSUMER, False, Wake(), 0.0)
    session.epoch = 0x7FFFFFFF
    session.next_epoch()
    assert session.epoch == 1


def test_what_a_request_names_has_news_and_what_it_forgets_is_gone() -> None:
    session = FetchSession(7, CONSUMER, False, Wake(), 0.0)
    session.update(named(a=1, b=2))
    for reader in list(session.news):
        reader.settle()
    session.update(named(b=9))
    assert [(reader.topic, reader.offset) for reader in session.news] == [("b", 9)]
    session.forget([ForgottenTopic(topic="b", partitions=[0])])
    assert list(session.readers) == [("a", 0)]
    assert not session.news


def test_a_partition_that_got_its_share_comes_last_the_next_time() -> None:
    session = FetchSession(7, CONSUMER, False, Wake(), 0.0)
    session.update(named(a=0, b=0, c=0))
    next(iter(session.news)).requeue()
    assert [reader.topic for reader in session.news] == ["b", "c", "a"]


def test_sessions_by_topic_id_keep_same_named_successors_apart() -> None:
    session = FetchSession(7, CONSUMER, True, Wake(), 0.0)
    for number in (1, 2):
        session.update([FetchTopic(topic_id=UUID(int=number), partitions=[FetchPartition(partition=0)])])
    assert len(session.readers) == 2


def test_a_full_cache_grants_nothing_until_a_session_has_been_idle() -> None:
    cache = sessions(slots=2)
    first, _ = cache.open(0, 0, CONSUMER, False, 0.0)
    second, _ = cache.open(0, 0, CONSUMER, False, 0.0)
    assert cache.open(0, 0, CONSUMER, False, 100.0)[0].session_id == 0
    cache.open(first.session_id, 1, CONSUMER, False, 100.0)
    third, _ = cache.open(0, 0, CONSUMER, False, 121.0)
    assert third.session_id != 0
    fails_with(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, cache, second.session_id, 1)


def test_a_follower_displaces_an_old_session_of_a_consumer_but_not_that_of_a_follower() -> None:
    cache = sessions(slots=1)
    old, _ = cache.open(0, 0, CONSUMER, False, 0.0)
    cache.open(old.session_id, 1, CONSUMER, False, 130.0)
    follower, _ = cache.open(0, 0, FOLLOWER, False, 131.0)
    assert follower.session_id != 0
    cache.open(follower.session_id, 1, FOLLOWER, False, 260.0)
    assert cache.open(0, 0, FOLLOWER, False, 261.0)[0].session_id == 0


def test_the_followers_side_counts_epochs_and_begins_again_after_an_error() -> None:
    ours = LeaderSession()
    assert ours.is_full
    ours.accepted(55)
    assert (ours.session_id, ours.epoch) == (55, 1)
    ours.state(("a", 0), Question(Phase.FETCHING, 1, 0, -1), None)
    ours.accepted(55)
    assert ours.epoch == 2
    ours.begin_again([("a", 0)], ErrorCode.INVALID_FETCH_SESSION_EPOCH)
    assert (ours.session_id, ours.epoch, ours.stated, list(ours.dirty)) == (55, 0, {}, [("a", 0)])
    ours.begin_again([], ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    assert ours.session_id == 0


def test_a_leader_that_grants_no_session_is_sent_full_fetches() -> None:
    ours = LeaderSession()
    ours.accepted(0)
    assert ours.is_full
