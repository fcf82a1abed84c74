"""Batches and names that lie, sent one by one, and what must be told for each."""

from __future__ import annotations

from broker.wire import batch as batches
from broker.wire.compression import Codec, compress
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDir,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirTopic,
)
from broker.wire.messages.init_producer_id import InitProducerIdRequest
from broker.wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.wire.records import Record, build_batch
from tests.cluster.talk import Talk

MIB = 1 << 20
NAMES = ("../../x", "..", ".", "/etc/x", "a/b", "a\\b", "a\0b", "x" * 250, "\u00fc", "x y", "", "-delete/../x", "x\n")
REFUSALS = {
    ErrorCode.CORRUPT_MESSAGE,
    ErrorCode.INVALID_RECORD,
    ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.RECORD_LIST_TOO_LARGE,
    ErrorCode.INVALID_REQUEST,
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    ErrorCode.INVALID_PRODUCER_EPOCH,
    ErrorCode.UNKNOWN_SERVER_ERROR,  # Kafka's for what cannot be inflated: clients do not send it again
}


async def lying_batches(talk: Talk, topic: str) -> dict[str, int]:
    """What is told for each abuse of a batch. An idempotent producer's good one is all that may be taken."""
    good = build_batch([Record(0, 1_700_000_000_000, None, b"x" * 50)] * 3, base_offset=0)
    told = {name: await _produce(talk, topic, lie) for name, lie in _lies(good).items()}
    given = await talk.send(ApiKey.INIT_PRODUCER_ID, 4, InitProducerIdRequest(transactional_id=None))
    for name, epoch, sequence in (("good", 3, 0), ("gap", 3, 7), ("sequence again", 3, 1), ("old epoch", 2, 3)):
        record = [Record(0, 1_700_000_000_000, None, b"good")] * 3
        lie = build_batch(
            record, base_offset=0, producer_id=given.producer_id, producer_epoch=epoch, base_sequence=sequence
        )
        told[name] = await _produce(talk, topic, lie)
    assert told.pop("good") == 0
    return told


async def _produce(talk: Talk, topic: str, records: bytes | bytearray) -> int:
    data = [TopicProduceData(name=topic, partition_data=[PartitionProduceData(index=0, records=records)])]
    request = ProduceRequest(acks=-1, timeout_ms=5000, topic_data=data)
    reply = await talk.send(ApiKey.PRODUCE, 9, request, 20)
    error: int = reply.responses[0].partition_responses[0].error_code
    return error


async def lying_names(talk: Talk) -> list[str]:
    """Names that are paths, or none at all, as topics: what was told that must not be."""
    faults = []
    for name in NAMES:
        if name and (code := await talk.create(name)) != ErrorCode.INVALID_TOPIC_EXCEPTION:
            faults.append(f"creation of {name!r} was told {code!r}")
        asked = MetadataRequest(topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=True)
        found = (await talk.send(ApiKey.METADATA, 9, asked)).topics[0].error_code
        if found != ErrorCode.INVALID_TOPIC_EXCEPTION:
            faults.append(f"metadata of {name!r} was told {found}")
        if await _produce(talk, name, build_batch([Record(0, 0, None, b"x")], base_offset=0)) == 0:
            faults.append(f"a record for {name!r} was taken")
        if (part := await talk.fetch(name)).error_code == 0:
            faults.append(f"{name!r} can be read: {part}")
    moved = AlterReplicaLogDirsRequest(
        dirs=[AlterReplicaLogDir(path="../../x", topics=[AlterReplicaLogDirTopic(name="../../x", partitions=[0])])]
    )
    reply = await talk.send(ApiKey.ALTER_REPLICA_LOG_DIRS, 2, moved)
    if reply.results[0].partitions[0].error_code == 0:
        faults.append("a replica may be moved to ../../x")
    return faults


def _lies(good: bytes | bytearray) -> dict[str, bytes]:
    def changed(at: int, to: bytes, *, crc: bool = True) -> bytes:
        made = bytearray(good)
        made[at : at + len(to)] = to
        return _sealed(made) if crc else bytes(made)

    return {
        "crc": changed(17, b"\0\0\0\0", crc=False),
        "length short": changed(8, (60).to_bytes(4, "big")),
        "length long": changed(8, (1 << 20).to_bytes(4, "big"), crc=False),
        "length negative": changed(8, b"\xff\xff\xff\xff", crc=False),
        "magic 1": changed(16, b"\1", crc=False),
        "magic 9": changed(16, b"\x09", crc=False),
        "count": changed(57, (2).to_bytes(4, "big")),
        "count huge": changed(57, b"\x7f\xff\xff\xff"),
        "count negative": changed(57, b"\xff\xff\xff\xff"),
        "delta": changed(23, (7).to_bytes(4, "big")),
        "delta negative": changed(23, b"\xff\xff\xff\xff"),
        "control": changed(22, b"\x20"),
        "codec": changed(22, b"\x07"),
        "record length": changed(61, b"\x7e"),
        "record length of ten bytes": changed(61, b"\xff" * 9 + b"\x01"),
        "cut": bytes(good[:80]),
        "empty": b"",
        "bomb of gzip": _bomb(good, Codec.GZIP, 100 * MIB),
        "bomb of lz4": _bomb(good, Codec.LZ4, 100 * MIB),
        "bomb of zstd": _bomb(good, Codec.ZSTD, 100 * MIB),
        "bomb of snappy": _bomb(good, Codec.SNAPPY, 18 * MIB),
    }


def _bomb(good: bytes | bytearray, codec: Codec, size: int) -> bytes:
    """Three records, it says, that inflate to so many zeros."""
    made = bytearray(good[: batches.HEADER_SIZE]) + compress(codec, bytes(size))
    made[8:12] = (len(made) - batches.LOG_OVERHEAD).to_bytes(4, "big")
    made[22] = codec
    return _sealed(made)


def _sealed(made: bytearray) -> bytes:
    made[17:21] = batches.computed_crc(made, 0, len(made)).to_bytes(4, "big")
    return bytes(made)
