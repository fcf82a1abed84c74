"""The APIs by number, their newest versions, and where flexible ones begin (org.apache.kafka.common.protocol.ApiKeys).

What a ZooKeeper-mode broker of Kafka 3.9 knows. Every API is known here from version 0.
"""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import Final


class ApiKey(IntEnum):
    """The int16 that begins every request."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    LEADER_AND_ISR = 4
    STOP_REPLICA = 5
    UPDATE_METADATA = 6
    CONTROLLED_SHUTDOWN = 7
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    LEAVE_GROUP = 13
    SYNC_GROUP = 14
    DESCRIBE_GROUPS = 15
    LIST_GROUPS = 16
    SASL_HANDSHAKE = 17
    API_VERSIONS = 18
    CREATE_TOPICS = 19
    DELETE_TOPICS = 20
    DELETE_RECORDS = 21
    INIT_PRODUCER_ID = 22
    OFFSET_FOR_LEADER_EPOCH = 23
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    WRITE_TXN_MARKERS = 27
    TXN_OFFSET_COMMIT = 28
    DESCRIBE_ACLS = 29
    CREATE_ACLS = 30
    DELETE_ACLS = 31
    DESCRIBE_CONFIGS = 32
    ALTER_CONFIGS = 33
    ALTER_REPLICA_LOG_DIRS = 34
    DESCRIBE_LOG_DIRS = 35
    SASL_AUTHENTICATE = 36
    CREATE_PARTITIONS = 37
    CREATE_DELEGATION_TOKEN = 38
    RENEW_DELEGATION_TOKEN = 39
    EXPIRE_DELEGATION_TOKEN = 40
    DESCRIBE_DELEGATION_TOKEN = 41
    DELETE_GROUPS = 42
    ELECT_LEADERS = 43
    INCREMENTAL_ALTER_CONFIGS = 44
    ALTER_PARTITION_REASSIGNMENTS = 45
    LIST_PARTITION_REASSIGNMENTS = 46
    OFFSET_DELETE = 47
    DESCRIBE_CLIENT_QUOTAS = 48
    ALTER_CLIENT_QUOTAS = 49
    DESCRIBE_USER_SCRAM_CREDENTIALS = 50
    ALTER_USER_SCRAM_CREDENTIALS = 51
    ALTER_PARTITION = 56
    UPDATE_FEATURES = 57
    ENVELOPE = 58
    DESCRIBE_CLUSTER = 60
    DESCRIBE_PRODUCERS = 61
    DESCRIBE_TRANSACTIONS = 65
    LIST_TRANSACTIONS = 66
    ALLOCATE_PRODUCER_IDS = 67
    CONSUMER_GROUP_HEARTBEAT = 68
    CONSUMER_GROUP_DESCRIBE = 69


NEVER: Final = 0x7FFF

_NEWEST_AND_FLEXIBLE: Final = MappingProxyType(
    {
        ApiKey.PRODUCE: (11, 9),
        ApiKey.FETCH: (17, 12),
        ApiKey.LIST_OFFSETS: (9, 6),
        ApiKey.METADATA: (12, 9),
        ApiKey.LEADER_AND_ISR: (7, 4),
        ApiKey.STOP_REPLICA: (4, 2),
        ApiKey.UPDATE_METADATA: (8, 6),
        ApiKey.CONTROLLED_SHUTDOWN: (3, 3),
        ApiKey.OFFSET_COMMIT: (9, 8),
        ApiKey.OFFSET_FETCH: (9, 6),
        ApiKey.FIND_COORDINATOR: (6, 3),
        ApiKey.JOIN_GROUP: (9, 6),
        ApiKey.HEARTBEAT: (4, 4),
        ApiKey.LEAVE_GROUP: (5, 4),
        ApiKey.SYNC_GROUP: (5, 4),
        ApiKey.DESCRIBE_GROUPS: (5, 5),
        ApiKey.LIST_GROUPS: (5, 3),
        ApiKey.SASL_HANDSHAKE: (1, NEVER),
        ApiKey.API_VERSIONS: (4, 3),
        ApiKey.CREATE_TOPICS: (7, 5),
        ApiKey.DELETE_TOPICS: (6, 4),
        ApiKey.DELETE_RECORDS: (2, 2),
        ApiKey.INIT_PRODUCER_ID: (5, 2),
        ApiKey.OFFSET_FOR_LEADER_EPOCH: (4, 4),
        ApiKey.ADD_PARTITIONS_TO_TXN: (5, 3),
        ApiKey.ADD_OFFSETS_TO_TXN: (4, 3),
        ApiKey.END_TXN: (4, 3),
        ApiKey.WRITE_TXN_MARKERS: (1, 1),
        ApiKey.TXN_OFFSET_COMMIT: (4, 3),
        ApiKey.DESCRIBE_ACLS: (3, 2),
        ApiKey.CREATE_ACLS: (3, 2),
        ApiKey.DELETE_ACLS: (3, 2),
        ApiKey.DESCRIBE_CONFIGS: (4, 4),
        ApiKey.ALTER_CONFIGS: (2, 2),
        ApiKey.ALTER_REPLICA_LOG_DIRS: (2, 2),
        ApiKey.DESCRIBE_LOG_DIRS: (4, 2),
        ApiKey.SASL_AUTHENTICATE: (2, 2),
        ApiKey.CREATE_PARTITIONS: (3, 2),
        ApiKey.CREATE_DELEGATION_TOKEN: (3, 2),
        ApiKey.RENEW_DELEGATION_TOKEN: (2, 2),
        ApiKey.EXPIRE_DELEGATION_TOKEN: (2, 2),
        ApiKey.DESCRIBE_DELEGATION_TOKEN: (3, 2),
        ApiKey.DELETE_GROUPS: (2, 2),
        ApiKey.ELECT_LEADERS: (2, 2),
        ApiKey.INCREMENTAL_ALTER_CONFIGS: (1, 1),
        ApiKey.ALTER_PARTITION_REASSIGNMENTS: (0, 0),
        ApiKey.LIST_PARTITION_REASSIGNMENTS: (0, 0),
        ApiKey.OFFSET_DELETE: (0, NEVER),
        ApiKey.DESCRIBE_CLIENT_QUOTAS: (1, 1),
        ApiKey.ALTER_CLIENT_QUOTAS: (1, 1),
        ApiKey.DESCRIBE_USER_SCRAM_CREDENTIALS: (0, 0),
        ApiKey.ALTER_USER_SCRAM_CREDENTIALS: (0, 0),
        ApiKey.ALTER_PARTITION: (3, 0),
        ApiKey.UPDATE_FEATURES: (1, 0),
        ApiKey.ENVELOPE: (0, 0),
        ApiKey.DESCRIBE_CLUSTER: (1, 0),
        ApiKey.DESCRIBE_PRODUCERS: (0, 0),
        ApiKey.DESCRIBE_TRANSACTIONS: (0, 0),
        ApiKey.LIST_TRANSACTIONS: (1, 0),
        ApiKey.ALLOCATE_PRODUCER_IDS: (0, 0),
        ApiKey.CONSUMER_GROUP_HEARTBEAT: (0, 0),
        ApiKey.CONSUMER_GROUP_DESCRIBE: (0, 0),
    }
)


def newest_version(key: int) -> int:
    """The newest version known of ``key``. Raises KeyError for an unknown API."""
    return _NEWEST_AND_FLEXIBLE[ApiKey(key)][0]


def flexible_from(key: int) -> int:
    """The first version of ``key`` with compact lengths and tagged fields (KIP-482), or NEVER. Raises KeyError."""
    return _NEWEST_AND_FLEXIBLE[ApiKey(key)][1]


def is_flexible(key: int, version: int) -> bool:
    """Whether ``version`` of ``key`` is one of those. Raises KeyError for an unknown API."""
    return version >= flexible_from(key)
