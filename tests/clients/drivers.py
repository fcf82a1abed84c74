"""The clients that judge, behind one face: create and delete a topic, produce exactly once, read everything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import aiokafka
import kafka
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin import NewTopic as AioTopic
from confluent_kafka import Consumer, KafkaError, Message, Producer
from confluent_kafka import TopicPartition as ConfluentPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic as ConfluentTopic
from kafka.admin import KafkaAdminClient, NewTopic

SECONDS = 60


class Driver(Protocol):
    """Blocking calls, made in a thread; ``read`` takes ``count`` records of partition 0 from the beginning."""

    def create(self, servers: str, topic: str, replicas: int) -> None: ...

    def delete(self, servers: str, topic: str) -> None: ...

    def topics(self, servers: str) -> set[str]: ...

    def produce(self, servers: str, topic: str, values: Iterator[bytes], codec: str | None = None) -> None:
        """acks=all, idempotent; returns once every record is acknowledged."""
        ...

    def read(self, servers: str, topic: str, count: int) -> list[bytes]: ...


class KafkaPython:
    def create(self, servers: str, topic: str, replicas: int) -> None:
        with self._admin(servers) as admin:
            admin.create_topics([NewTopic(topic, 1, replicas)])

    def delete(self, servers: str, topic: str) -> None:
        with self._admin(servers) as admin:
            admin.delete_topics([topic])

    def topics(self, servers: str) -> set[str]:
        with self._admin(servers) as admin:
            return set(admin.list_topics())

    @contextmanager
    def _admin(self, servers: str) -> Iterator[Any]:
        admin = KafkaAdminClient(bootstrap_servers=servers.split(","))
        try:
            yield admin
        finally:
            admin.close()

    def produce(self, servers: str, topic: str, values: Iterator[bytes], codec: str | None = None) -> None:
        producer = kafka.KafkaProducer(
            bootstrap_servers=servers.split(","),
            acks="all",
            enable_idempotence=True,
            compression_type=codec,
            request_timeout_ms=10_000,
            delivery_timeout_ms=SECONDS * 1000,
            retry_backoff_ms=50,
            metadata_max_age_ms=1000,
            linger_ms=5,
        )
        try:
            sent = [producer.send(topic, value, partition=0) for value in values]
            for each in sent:
                each.get(SECONDS)
        finally:
            producer.close(5)

    def read(self, servers: str, topic: str, count: int) -> list[bytes]:
        consumer = kafka.KafkaConsumer(bootstrap_servers=servers.split(","), consumer_timeout_ms=3000)
        try:
            consumer.assign([kafka.TopicPartition(topic, 0)])
            consumer.seek_to_beginning()
            return [record.value for record in consumer]
        finally:
            consumer.close()


class AioKafka:
    def create(self, servers: str, topic: str, replicas: int) -> None:
        async def work(admin: AIOKafkaAdminClient) -> None:
            await admin.create_topics([AioTopic(topic, 1, replicas)])

        asyncio.run(self._admin(servers, work))

    def delete(self, servers: str, topic: str) -> None:
        asyncio.run(self._admin(servers, lambda admin: admin.delete_topics([topic])))

    def topics(self, servers: str) -> set[str]:
        return set(asyncio.run(self._admin(servers, lambda admin: admin.list_topics())))

    async def _admin(self, servers: str, work: Any) -> Any:
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        try:
            return await work(admin)
        finally:
            await admin.close()

    def produce(self, servers: str, topic: str, values: Iterator[bytes], codec: str | None = None) -> None:
        asyncio.run(self._produce(servers, topic, values, codec))

    async def _produce(self, servers: str, topic: str, values: Iterator[bytes], codec: str | None) -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=servers,
            acks="all",
            enable_idempotence=True,
            compression_type=codec,
            request_timeout_ms=10_000,
            retry_backoff_ms=50,
            metadata_max_age_ms=1000,
        )
        await producer.start()
        try:
            sent = []
            for value in values:
                sent.append(await producer.send(topic, value, partition=0))
                await asyncio.sleep(0)
            async with asyncio.timeout(SECONDS):
                for each in sent:
                    await each
        finally:
            await producer.stop()

    def read(self, servers: str, topic: str, count: int) -> list[bytes]:
        return asyncio.run(self._read(servers, topic, count))

    async def _read(self, servers: str, topic: str, count: int) -> list[bytes]:
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=servers)
        await consumer.start()
        try:
            partition = aiokafka.TopicPartition(topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning()
            values: list[bytes] = []
            while True:
                batch = await consumer.getmany(timeout_ms=3000)
                if not batch:
                    return values
                values += [record.value for records in batch.values() for record in records]
        finally:
            await consumer.stop()


class Confluent:
    def create(self, servers: str, topic: str, replicas: int) -> None:
        admin = AdminClient({"bootstrap.servers": servers})
        admin.create_topics([ConfluentTopic(topic, 1, replicas)])[topic].result(SECONDS)

    def delete(self, servers: str, topic: str) -> None:
        admin = AdminClient({"bootstrap.servers": servers})
        admin.delete_topics([topic])[topic].result(SECONDS)

    def topics(self, servers: str) -> set[str]:
        return set(AdminClient({"bootstrap.servers": servers}).list_topics(timeout=SECONDS).topics)

    def produce(self, servers: str, topic: str, values: Iterator[bytes], codec: str | None = None) -> None:
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)

        producer = Producer(
            {
                "bootstrap.servers": servers,
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": codec or "none",
                "linger.ms": 5,
                "retry.backoff.ms": 50,
                "message.timeout.ms": SECONDS * 1000,
                "topic.metadata.refresh.interval.ms": 1000,
            }
        )
        for value in values:
            producer.produce(topic, value, partition=0, on_delivery=delivered)
            producer.poll(0)
        assert producer.flush(SECONDS) == 0
        assert failures == []

    def read(self, servers: str, topic: str, count: int) -> list[bytes]:
        consumer = Consumer({"bootstrap.servers": servers, "group.id": "unused", "enable.auto.commit": False})
        try:
            consumer.assign([ConfluentPartition(topic, 0, 0)])
            values: list[bytes] = []
            quiet = 0
            while quiet < 3:
                message = consumer.poll(1.0)
                if message is None:
                    quiet += 1
                    continue
                assert message.error() is None, message.error()
                values.append(message.value() or b"")
            return values
        finally:
            consumer.close()


DRIVERS: dict[str, Driver] = {"kafka-python": KafkaPython(), "aiokafka": AioKafka(), "confluent-kafka": Confluent()}
