"""The records of ``__consumer_offsets``, byte for byte as Kafka writes them (GroupMetadataManager; facts F.8).

Keys: v0 and v1 name an offset (1 is written), v2 a group. Values: offsets v0-v4 (3 is written, 1 where the client gave
a retention), groups v0-v4 (3 is written). A null value is a tombstone.
"""

from __future__ import annotations

import struct
from typing import Final

from broker.wire.codec import read, write
from broker.wire.errors import Malformed
from broker.wire.schema import BYTES, INT32, INT64, STRING, array, f, message
from broker.wire.schema import struct as part

OFFSET_KEY: Final = 1
GROUP_KEY: Final = 2
OFFSET_VALUE: Final = 3
OFFSET_VALUE_WITH_EXPIRY: Final = 1
GROUP_VALUE: Final = 3
HIGHEST_VALUE: Final = 4


@message(versions="0-1")
class OffsetCommitKey:
    group: str = f(STRING, "0+")
    topic: str = f(STRING, "0+")
    partition: int = f(INT32, "0+")


@message(versions="2")
class GroupMetadataKey:
    group: str = f(STRING, "2+")


@message(versions="0-4", flexible="4+")
class OffsetCommitValue:
    """A committed offset; times are wall ms. ``expire_timestamp`` -1: the broker's retention decides."""

    offset: int = f(INT64, "0+")
    leader_epoch: int = f(INT32, "3+", default=-1)
    metadata: str = f(STRING, "0+")
    commit_timestamp: int = f(INT64, "0+")
    expire_timestamp: int = f(INT64, "1", default=-1)


@part
class MemberMetadata:
    member_id: str = f(STRING, "0+")
    group_instance_id: str | None = f(STRING, "3+", nullable="3+", default=None)
    client_id: str = f(STRING, "0+")
    client_host: str = f(STRING, "0+")
    rebalance_timeout: int = f(INT32, "1+")
    session_timeout: int = f(INT32, "0+")
    subscription: bytes = f(BYTES, "0+")
    assignment: bytes = f(BYTES, "0+")


@message(versions="0-4", flexible="4+")
class GroupMetadataValue:
    protocol_type: str = f(STRING, "0+")
    generation: int = f(INT32, "0+")
    protocol: str | None = f(STRING, "0+", nullable="0+")
    leader: str | None = f(STRING, "0+", nullable="0+")
    current_state_timestamp: int = f(INT64, "2+", default=-1)
    members: list[MemberMetadata] = f(array(MemberMetadata), "0+")


Key = OffsetCommitKey | GroupMetadataKey


def offset_key(group: str, topic: str, partition: int) -> bytes:
    return _versioned(OffsetCommitKey(group=group, topic=topic, partition=partition), OFFSET_KEY)


def group_key(group: str) -> bytes:
    return _versioned(GroupMetadataKey(group=group), GROUP_KEY)


def offset_value(value: OffsetCommitValue) -> bytes:
    return _versioned(value, OFFSET_VALUE if value.expire_timestamp < 0 else OFFSET_VALUE_WITH_EXPIRY)


def group_value(value: GroupMetadataValue) -> bytes:
    return _versioned(value, GROUP_VALUE)


def read_key(data: bytes) -> Key | None:
    """What a record is about; None for a version that is not known here. Raises Malformed."""
    version = _version(data)
    if version in (0, OFFSET_KEY):
        return read(OffsetCommitKey, version, data, 2)
    if version == GROUP_KEY:
        return read(GroupMetadataKey, version, data, 2)
    return None


def read_offset_value(data: bytes) -> OffsetCommitValue:
    """Raises Malformed, also for a version that is not known here."""
    return read(OffsetCommitValue, _known(data), data, 2)


def read_group_value(data: bytes) -> GroupMetadataValue:
    """Raises Malformed, also for a version that is not known here."""
    return read(GroupMetadataValue, _known(data), data, 2)


def _versioned(message_: object, version: int) -> bytes:
    return struct.pack(">h", version) + write(message_, version)


def _version(data: bytes) -> int:
    if len(data) < 2:
        raise Malformed("a record of the offsets topic without a version")
    return int.from_bytes(data[:2], "big", signed=True)


def _known(data: bytes) -> int:
    version = _version(data)
    if not 0 <= version <= HIGHEST_VALUE:
        raise Malformed(f"value version {version} of the offsets topic is not known")
    return version
