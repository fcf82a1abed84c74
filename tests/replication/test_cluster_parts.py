"""What a broker knows of the others: the protocol's versions, the metadata cache, and lines to peers."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from broker.cluster.ibp import Ibp
from broker.cluster.metadata_cache import Endpoint, MetadataCache
from broker.cluster.peers import Peers, PeerUnreachable
from broker.host import real_host
from broker.wire import codec
from broker.wire.keys import ApiKey
from broker.wire.messages.controlled_shutdown import ControlledShutdownRequest, ControlledShutdownResponse
from broker.wire.messages.update_metadata import (
    UpdateMetadataBroker,
    UpdateMetadataEndpoint,
    UpdateMetadataPartitionState,
    UpdateMetadataRequest,
    UpdateMetadataTopicState,
)
from tests.replication.brokers import until

# protocol


@pytest.mark.parametrize(
    ("key", "in_2_6", "in_3_9"),
    [
        (ApiKey.LEADER_AND_ISR, 4, 7),
        (ApiKey.UPDATE_METADATA, 6, 8),
        (ApiKey.STOP_REPLICA, 3, 4),
        (ApiKey.CONTROLLED_SHUTDOWN, 3, 3),
        (ApiKey.FETCH, 11, 17),
        (ApiKey.OFFSET_FOR_LEADER_EPOCH, 3, 4),
        (ApiKey.LIST_OFFSETS, 5, 9),
        (ApiKey.WRITE_TXN_MARKERS, 0, 1),
        (ApiKey.ALTER_PARTITION, None, 3),
        (ApiKey.ALLOCATE_PRODUCER_IDS, None, 0),
    ],
)
def test_brokers_speak_the_versions_of_their_protocol(key: ApiKey, in_2_6: int | None, in_3_9: int) -> None:
    assert Ibp.of("3.9").version(key) == in_3_9
    assert Ibp.of("2.6").versions.get(key) == in_2_6


def test_protocols_are_recognised_however_they_are_spelled_and_others_are_refused() -> None:
    assert Ibp.of("3.9-IV0") is Ibp.of("3.9") is Ibp.of("3.9.1")
    for other in ("3.8", "4.0", "2.6x", ""):
        with pytest.raises(ValueError, match="is not one of"):
            Ibp.of(other)


def test_without_topic_ids_older_versions_are_spoken() -> None:
    modern = Ibp.of("3.9")
    assert (modern.fetch_version(topic_ids_known=False), modern.fetch_version(topic_ids_known=True)) == (12, 17)
    assert modern.alter_partition_version(topic_ids_known=False) == 1
    assert Ibp.of("2.6").fetch_version(topic_ids_known=False) == 11


# metadata

TOPIC_ID = UUID(int=5)


def update(
    brokers: dict[int, int], topics: dict[str, list[tuple[int, int]]], topic_id: UUID = TOPIC_ID
) -> UpdateMetadataRequest:
    """``brokers``: id -> port; ``topics``: name -> [(partition, leader)]."""
    return UpdateMetadataRequest(
        controller_id=1,
        live_brokers=[
            UpdateMetadataBroker(
                id=broker, endpoints=[UpdateMetadataEndpoint(port=port, host="h", listener="PLAINTEXT")]
            )
            for broker, port in brokers.items()
        ],
        topic_states=[
            UpdateMetadataTopicState(
                topic_name=topic,
                topic_id=topic_id,
                partition_states=[
                    UpdateMetadataPartitionState(
                        partition_index=index, leader=leader, leader_epoch=3, isr=[1], replicas=[1, 2]
                    )
                    for index, leader in partitions
                ],
            )
            for topic, partitions in topics.items()
        ],
    )


def test_an_update_replaces_the_brokers_and_adds_to_the_partitions() -> None:
    cache = MetadataCache()
    cache.update(update({1: 10, 2: 20}, {"a": [(0, 1)]}))
    delta = cache.update(update({2: 21}, {"b": [(0, 2)]}))
    assert [broker.broker_id for broker in cache.brokers()] == [2]
    assert cache.endpoint(2, "PLAINTEXT") == Endpoint("h", 21, "PLAINTEXT", 0)
    assert (cache.is_alive(1), cache.endpoint(2, "SSL")) == (False, None)
    assert cache.topics() == ("a", "b")
    assert (delta.changed, delta.brokers_changed) == ((("b", 0),), True)
    assert cache.controller_id == 1


def test_leader_minus_two_removes_a_partition_and_with_the_last_the_topic_and_its_id() -> None:
    cache = MetadataCache()
    cache.update(update({1: 10}, {"a": [(0, 1), (1, 1)]}))
    assert cache.topic_name(UUID(int=5)) == "a"
    cache.update(update({1: 10}, {"a": [(0, -2)]}))
    assert list(cache.partitions("a")) == [1]
    delta = cache.update(update({1: 10}, {"a": [(1, -2)]}))
    assert (delta.removed, delta.removed_topics) == ((("a", 1),), ("a",))
    assert not cache.has_topic("a")
    assert cache.topic_name(UUID(int=5)) is None


def test_a_zero_topic_id_forgets_the_id_and_a_new_one_replaces_it() -> None:
    cache = MetadataCache()
    cache.update(update({}, {"a": [(0, 1)]}, UUID(int=5)))
    cache.update(update({}, {"a": [(0, 1)]}, UUID(int=6)))
    assert (cache.topic_name(UUID(int=5)), cache.topic_name(UUID(int=6))) == (None, "a")
    cache.update(update({}, {"a": [(0, 1)]}, UUID(int=0)))
    assert (cache.topic_id("a"), cache.topic_name(UUID(int=6))) == (UUID(int=0), None)


async def test_waiting_for_metadata_ends_with_the_update_that_brings_it_or_with_its_time() -> None:
    cache = MetadataCache()
    waiting = asyncio.ensure_future(cache.wait_for(lambda seen: seen.has_topic("a"), 10))
    await asyncio.sleep(0)
    cache.update(update({}, {"b": [(0, 1)]}))
    cache.update(update({}, {"a": [(0, 1)]}))
    assert await waiting
    assert not await cache.wait_for(lambda seen: seen.has_topic("z"), 0.01)


# peers


class Peer(asyncio.Protocol):
    """Answers ControlledShutdown requests as ``behaves`` says: answers, silence, or nonsense."""

    def __init__(self, behaves: str) -> None:
        self.behaves = behaves
        self.connections = 0
        self.correlations: list[int] = []
        self.transport: asyncio.Transport | None = None

    def __call__(self) -> Peer:
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.connections += 1

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        while data:
            size = int.from_bytes(data[:4], "big")
            header = codec.decode_request_header(data[4 : 4 + size])
            data = data[4 + size :]
            self.correlations.append(header.correlation_id)
            wrong = 100 if self.behaves == "out of order" else 0
            reply = codec.encode_response(7, 3, header.correlation_id + wrong, ControlledShutdownResponse(error_code=9))
            if self.behaves == "in pieces":
                self.transport.write(reply[:3])
                self.transport.write(reply[3:])
            elif self.behaves == "nonsense":
                self.transport.write(b"\xff\xff\xff\xff nonsense")
            elif self.behaves == "hangs up":
                self.transport.close()
            elif self.behaves != "silent":
                self.transport.write(reply)


async def talk(behaves: str, timeout: float = 5.0, count: int = 1) -> tuple[Peer, list[int | str]]:
    """What ``count`` pipelined requests came to: error codes, or why the peer was unreachable."""
    host = real_host()
    peer = Peer(behaves)
    listener = await host.net.listen("127.0.0.1", 0, peer)
    peers = Peers(host.net, host.clock)
    line = peers.line(4, "127.0.0.1", listener.port, "me")
    sent = [line.send(7, 3, ControlledShutdownRequest(broker_id=at), timeout) for at in range(count)]
    outcomes: list[int | str] = []
    for answer in sent:
        try:
            outcomes.append((await answer).error_code)
        except PeerUnreachable as error:
            outcomes.append(str(error).partition(": ")[2])
    peers.close()
    listener.close()
    if peer.transport is not None:
        peer.transport.abort()
    return peer, outcomes


async def test_a_line_dials_once_and_pipelines_in_order() -> None:
    peer, outcomes = await talk("answers", count=5)
    assert outcomes == [9] * 5
    assert (peer.connections, peer.correlations) == (1, [1, 2, 3, 4, 5])


async def test_a_reply_in_pieces_is_put_together() -> None:
    assert (await talk("in pieces", count=3))[1] == [9, 9, 9]


@pytest.mark.parametrize(
    ("behaves", "reason"),
    [
        ("silent", "no answer within 0.1 s"),
        ("hangs up", "closed the connection"),
        ("nonsense", "sent a frame of -1 bytes, less than none"),
        ("out of order", "answered out of order"),
    ],
)
async def test_whatever_a_peer_does_wrong_fails_all_that_is_outstanding(behaves: str, reason: str) -> None:
    timeout = 0.1 if behaves == "silent" else 5.0
    assert (await talk(behaves, timeout, count=2))[1] == [reason, reason]


async def test_a_peer_that_is_not_there_is_dialled_again_by_the_next_request() -> None:
    host = real_host()
    listener = await host.net.listen("127.0.0.1", 0, Peer("answers"))
    port = listener.port
    listener.close()
    peers = Peers(host.net, host.clock)
    line = peers.line(4, "127.0.0.1", port, "me")
    with pytest.raises(PeerUnreachable, match="broker 4 at 127.0.0.1"):
        await line.send(7, 3, ControlledShutdownRequest(), 5)
    peer = Peer("answers")
    listener = await host.net.listen("127.0.0.1", port, peer)
    assert (await line.send(7, 3, ControlledShutdownRequest(), 5)).error_code == 9
    peers.close()
    assert line.is_closed
    with pytest.raises(PeerUnreachable, match="the line was closed"):
        await line.send(7, 3, ControlledShutdownRequest(), 5)
    listener.close()
    await until(lambda: peer.transport is not None and peer.transport.is_closing())
