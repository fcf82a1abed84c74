"""Records of Kafka's internal topics in words: offsets and groups, and the states of transactions (DumpLogSegments)."""

from typing import Any

from broker.wire.schema import INT8, INT16, INT32, INT64, STRING, array, f, message
from broker.wire.schema import struct as part

GROUPS, TRANSACTIONS = "__consumer_offsets", "__transaction_state"
_STATES = (
    *("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"),
    *("Dead", "PrepareEpochFence"),
)


@message(versions="0")
class TransactionLogKey:
    transactional_id: str = f(STRING, "0+")


@part
class PartitionsSchema:
    topic: str = f(STRING, "0+")
    partition_ids: list[int] = f(array(INT32), "0+")


@message(versions="0-1", flexible="1+")
class TransactionLogValue:
    """Its fields as Kafka names them. Times are wall ms, -1: none."""

    producer_id: int = f(INT64, "0+")
    producer_epoch: int = f(INT16, "0+")
    transaction_timeout_ms: int = f(INT32, "0+")
    transaction_status: int = f(INT8, "0+")
    transaction_partitions: list[PartitionsSchema] | None = f(array(PartitionsSchema), "0+", nullable="0+")
    transaction_last_update_timestamp_ms: int = f(INT64, "0+")
    transaction_start_timestamp_ms: int = f(INT64, "0+", default=-1)


def told(topic: str, key: bytes | None, value: bytes | None) -> dict[str, Any] | None:
    """The fields of a record of one of Kafka's own topics; None for another topic's, and for what no Kafka writes."""
    from broker.wire.errors import Malformed

    decode = {GROUPS: _of_group, TRANSACTIONS: _of_transaction}.get(topic)
    try:
        return decode(key or b"", value) if decode else None
    except (Malformed, ValueError, IndexError):
        return None


def _of_group(key: bytes, value: bytes | None) -> dict[str, Any] | None:
    """A committed offset, or a group with its members."""
    from broker.coordinator import group_records

    about = group_records.read_key(key)
    if about is None:
        return None
    if isinstance(about, group_records.OffsetCommitKey):
        where: dict[str, Any] = {"group": about.group, "topic": about.topic, "partition": about.partition}
        if value is None:
            return where | {"tombstone": True}
        one = group_records.read_offset_value(value)
        return where | {
            "committed": one.offset,
            "leaderEpoch": one.leader_epoch,
            "metadata": one.metadata,
            "commitTimestamp": one.commit_timestamp,
        }
    if value is None:
        return {"group": about.group, "tombstone": True}
    state = group_records.read_group_value(value)
    return {
        "group": about.group,
        "protocolType": state.protocol_type,
        "generation": state.generation,
        "protocol": state.protocol,
        "leader": state.leader,
        "members": [f"{member.member_id} ({member.client_id} at {member.client_host})" for member in state.members],
    }


def _of_transaction(key: bytes, value: bytes | None) -> dict[str, Any]:
    """The state of a transactional id, and the partitions of its transaction."""
    from broker.wire.codec import read

    about = read(TransactionLogKey, _version(key, 0), key, 2)
    if value is None:
        return {"transactionalId": about.transactional_id, "tombstone": True}
    one = read(TransactionLogValue, _version(value, 1), value, 2)
    status = one.transaction_status
    return {
        "transactionalId": about.transactional_id,
        "producerId": one.producer_id,
        "producerEpoch": one.producer_epoch,
        "state": _STATES[status] if 0 <= status < len(_STATES) else str(status),
        "timeoutMs": one.transaction_timeout_ms,
        "partitions": [
            f"{each.topic}-{index}" for each in one.transaction_partitions or () for index in each.partition_ids
        ],
        "lastUpdate": one.transaction_last_update_timestamp_ms,
        "start": one.transaction_start_timestamp_ms,
    }


def _version(data: bytes, highest: int) -> int:
    version = int.from_bytes(data[:2], "big", signed=True)
    if len(data) < 2 or not 0 <= version <= highest:
        raise ValueError(f"version {version} is not known")
    return version
