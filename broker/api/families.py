"""The modules whose handlers make up the broker."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from broker.api import cluster, logdirs, metadata

FAMILIES: Final[tuple[ModuleType, ...]] = (metadata, cluster, logdirs)
