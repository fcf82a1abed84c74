"""The modules whose handlers make up the broker."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from broker.api import (
    cluster,
    configs,
    control,
    fetch,
    group_offsets,
    groups,
    logdirs,
    metadata,
    offsets,
    partitions,
    produce,
    reassignments,
    topics,
    transactions,
)

FAMILIES: Final[tuple[ModuleType, ...]] = (
    *(produce, fetch, offsets, metadata, topics, partitions, reassignments, configs),
    *(transactions, groups, group_offsets, cluster, logdirs, control),
)
