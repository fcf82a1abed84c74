"""The modules whose handlers make up the broker."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from broker.api import cluster, configs, logdirs, metadata, partitions, topics

FAMILIES: Final[tuple[ModuleType, ...]] = (metadata, cluster, logdirs, topics, partitions, configs)
