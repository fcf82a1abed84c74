"""A small client on the wire format itself: what it sends and gets is exactly what a test says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from broker.cluster.peers import Line, PeerUnreachable
from broker.host import real_host
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData
from broker.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from broker.wire.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponsePartition,
)
from broker.wire.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from broker.wire.records import Record, build_batch, read_all

RETRIABLE = {
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.LEADER_NOT_AVAILABLE,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.NOT_ENOUGH_REPLICAS,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode.KAFKA_STORAGE_ERROR,
    ErrorCode.FENCED_LEADER_EPOCH,
    ErrorCode.UNKNOWN_LEADER_EPOCH,
}


class Talk:
    """One connection to one broker, by its port."""

    def __init__(self, broker_id: int, port: int, address: str = "127.0.0.1") -> None:
        host = real_host()
        self.broker_id = broker_id
        self.is_general = False
        self._line = Line(host.net, host.clock, broker_id, address, port, "tests")

    def close(self) -> None:
        self._line.close()

    async def send(self, api_key: ApiKey, version: int, request: Any, timeout: float = 20) -> Any:
        """The reply. Raises PeerUnreachable, which is an OSError here so that conditions may ask again."""
        try:
            return await self._line.send(api_key, version, request, timeout)
        except PeerUnreachable as error:
            raise ConnectionError(str(error)) from error

    async def metadata(self, *topics: str, version: int = 12) -> MetadataResponse:
        """Of the named topics, or of all; never creates one."""
        asked = [MetadataRequestTopic(name=topic) for topic in topics] or None
        request = MetadataRequest(topics=asked, allow_auto_topic_creation=False)
        reply: MetadataResponse = await self.send(ApiKey.METADATA, version, request, 5)
        return reply

    async def partition(self, topic: str, partition: int = 0) -> MetadataResponsePartition | None:
        reply = await self.metadata(topic)
        for found in reply.topics[0].partitions:
            if found.partition_index == partition:
                return found
        return None

    async def create(
        self,
        topic: str,
        partitions: int = 1,
        replicas: int = 1,
        assignment: Sequence[Sequence[int]] = (),
        *,
        timeout_ms: int = 15_000,
        configs: Mapping[str, str] | None = None,
    ) -> ErrorCode:
        """CreateTopics; by count, or with the replicas of each partition."""
        creatable = CreatableTopic(
            name=topic,
            num_partitions=-1 if assignment else partitions,
            replication_factor=-1 if assignment else replicas,
            assignments=[
                CreatableReplicaAssignment(partition_index=index, broker_ids=list(each))
                for index, each in enumerate(assignment)
            ],
            configs=[CreatableTopicConfig(name=name, value=text) for name, text in (configs or {}).items()],
        )
        request = CreateTopicsRequest(topics=[creatable], timeout_ms=timeout_ms)
        reply: CreateTopicsResponse = await self.send(ApiKey.CREATE_TOPICS, 7, request, timeout_ms / 1000 + 5)
        return ErrorCode(reply.topics[0].error_code)

    async def produce(
        self,
        topic: str,
        values: Iterable[bytes],
        partition: int = 0,
        acks: int = -1,
        timeout_ms: int = 10_000,
        producer: tuple[int, int, int] = (-1, -1, -1),
    ) -> PartitionProduceResponse:
        """One batch; ``producer`` is (id, epoch, first sequence) of an idempotent one."""
        now = real_host().clock.wall_ms()
        records = [Record(0, now, None, value) for value in values]
        batch = build_batch(
            records, base_offset=0, producer_id=producer[0], producer_epoch=producer[1], base_sequence=producer[2]
        )
        data = TopicProduceData(name=topic, partition_data=[PartitionProduceData(index=partition, records=batch)])
        request = ProduceRequest(acks=acks, timeout_ms=timeout_ms, topic_data=[data])
        reply: ProduceResponse = await self.send(ApiKey.PRODUCE, 9, request, timeout_ms / 1000 + 5)
        return reply.responses[0].partition_responses[0]

    async def fetch(
        self, topic: str, partition: int = 0, offset: int = 0, max_wait_ms: int = 100, leader_epoch: int = -1
    ) -> PartitionData:
        """Followers answer whoever names the leader epoch."""
        wanted = FetchPartition(
            partition=partition,
            current_leader_epoch=leader_epoch,
            fetch_offset=offset,
            partition_max_bytes=1 << 20,
        )
        request = FetchRequest(
            max_wait_ms=max_wait_ms,
            min_bytes=1,
            max_bytes=1 << 24,
            topics=[FetchTopic(topic=topic, partitions=[wanted])],
        )
        reply: FetchResponse = await self.send(ApiKey.FETCH, 12, request)
        return reply.responses[0].partitions[0]

    async def read(self, topic: str, partition: int = 0) -> list[bytes]:
        """Every value up to the high watermark, from the beginning; ConnectionError where it is not led."""
        values: list[bytes] = []
        offset = 0
        while True:
            found = await self.fetch(topic, partition, offset)
            if found.error_code:
                raise ConnectionError(f"fetch: {ErrorCode(found.error_code).name}")
            records = [record for record in read_all(found.records or b"") if record.offset >= offset]
            if not records:
                return values
            values += [record.value or b"" for record in records]
            offset = records[-1].offset + 1

    async def end_offset(self, topic: str, partition: int = 0) -> int:
        """ListOffsets LATEST."""
        wanted = ListOffsetsTopic(
            name=topic, partitions=[ListOffsetsPartition(partition_index=partition, timestamp=-1)]
        )
        request = ListOffsetsRequest(replica_id=-1, topics=[wanted])
        reply: ListOffsetsResponse = await self.send(ApiKey.LIST_OFFSETS, 7, request)
        found = reply.topics[0].partitions[0]
        if found.error_code:
            raise ConnectionError(f"list offsets: {ErrorCode(found.error_code).name}")
        return found.offset
