"""The short form of ``scripts/soak hostile``: some thousand frames that lie, by seed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.cluster.clusters import Cluster
from tests.soak.hostile import Hostilities, run

pytestmark = pytest.mark.timeout(180)


async def test_hostile_clients_disturb_nobody(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        hostilities = Hostilities(cluster, Random(11))
        figures = await run(hostilities, 3000, all_cuts=False)
        assert not hostilities.faults, (hostilities.faults, figures)
        assert hostilities.sent == 3000
        assert "Traceback" not in cluster.nodes[0].process.output()
