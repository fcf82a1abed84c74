"""Which protocol brokers speak among themselves (org.apache.kafka.server.common.MetadataVersion in ZooKeeper mode).

The only place that compares ``inter.broker.protocol.version``: everyone else asks for a version or a feature. Links
between brokers negotiate nothing, so the versions sent must be exactly those that a peer of the same setting expects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

LEADER_AND_ISR: Final = 4
STOP_REPLICA: Final = 5
UPDATE_METADATA: Final = 6
CONTROLLED_SHUTDOWN: Final = 7
FETCH: Final = 1
LIST_OFFSETS: Final = 2
OFFSET_FOR_LEADER_EPOCH: Final = 23
WRITE_TXN_MARKERS: Final = 27
ALTER_PARTITION: Final = 56
ALLOCATE_PRODUCER_IDS: Final = 67

_SPELLING = re.compile(r"(?P<release>\d+\.\d+)(-IV\d+|\.\d+)?")


@dataclass(frozen=True, slots=True)
class Ibp:
    """One row set of the table of inter-broker versions; feature gates are its boolean fields.

    ``truncates_on_fetch``: a follower learns of divergence from fetch replies (2.7-IV1), not by OffsetForLeaderEpoch.
    ``alter_partition``: ISR changes go to the controller (2.7-IV2), not to ZooKeeper by the leader itself.
    ``topic_ids`` 2.8-IV0; ``feature_versions`` 2.7-IV0 (the ``/feature`` znode); ``allocates_producer_ids`` 3.0-IV0;
    ``leader_recovery`` 3.2-IV0; ``high_watermark_gate`` KIP-966 part 1 and the min ISR capped by the replicas (3.9).
    """

    release: str
    versions: MappingProxyType[int, int]
    truncates_on_fetch: bool
    alter_partition: bool
    topic_ids: bool
    feature_versions: bool
    allocates_producer_ids: bool
    leader_recovery: bool
    high_watermark_gate: bool

    @staticmethod
    def of(spelling: str) -> Ibp:
        """The protocol called ``3.9``, ``3.9-IV0``, ``2.6`` or ``2.6-IV0``. Raises ValueError for any other."""
        match = _SPELLING.fullmatch(spelling)
        found = _KNOWN.get(match["release"]) if match else None
        if found is None:
            raise ValueError(f"inter.broker.protocol.version={spelling} is not one of 3.9, 2.6")
        return found

    def version(self, api_key: int) -> int:
        """The version of ``api_key`` that brokers and controllers send. Raises KeyError if they send none."""
        return self.versions[api_key]

    def fetch_version(self, *, topic_ids_known: bool) -> int:
        """The follower's Fetch: versions from 13 name topics by id, so 12 where an id is missing (KIP-516)."""
        version = self.versions[FETCH]
        return version if topic_ids_known else min(version, 12)

    def alter_partition_version(self, *, topic_ids_known: bool) -> int:
        """AlterPartition: versions from 2 name topics by id, so 1 where an id is missing (KIP-841)."""
        version = self.versions[ALTER_PARTITION]
        return version if topic_ids_known else min(version, 1)


_IBP_2_6 = Ibp(
    release="2.6",
    versions=MappingProxyType(
        {
            LEADER_AND_ISR: 4,
            UPDATE_METADATA: 6,
            STOP_REPLICA: 3,
            CONTROLLED_SHUTDOWN: 3,
            FETCH: 11,
            OFFSET_FOR_LEADER_EPOCH: 3,
            LIST_OFFSETS: 5,
            WRITE_TXN_MARKERS: 0,
        }
    ),
    truncates_on_fetch=False,
    alter_partition=False,
    topic_ids=False,
    feature_versions=False,
    allocates_producer_ids=False,
    leader_recovery=False,
    high_watermark_gate=False,
)

_IBP_3_9 = Ibp(
    release="3.9",
    versions=MappingProxyType(
        {
            LEADER_AND_ISR: 7,
            UPDATE_METADATA: 8,
            STOP_REPLICA: 4,
            CONTROLLED_SHUTDOWN: 3,
            FETCH: 17,
            OFFSET_FOR_LEADER_EPOCH: 4,
            LIST_OFFSETS: 9,
            WRITE_TXN_MARKERS: 1,
            ALTER_PARTITION: 3,
            ALLOCATE_PRODUCER_IDS: 0,
        }
    ),
    truncates_on_fetch=True,
    alter_partition=True,
    topic_ids=True,
    feature_versions=True,
    allocates_producer_ids=True,
    leader_recovery=True,
    high_watermark_gate=True,
)

_KNOWN: Final = MappingProxyType({"3.9": _IBP_3_9, "2.6": _IBP_2_6})
