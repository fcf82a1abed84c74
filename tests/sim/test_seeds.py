"""A few seeds of the simulation, and a planted bug that one of them must catch. Many more: ``scripts/simulate``."""

from __future__ import annotations

import pytest

from tests.sim.plants import planted
from tests.sim.run import Run
from tests.sim.simulate import tell

SEEDS = [2, 3, 24, 43, 51, 53, 119, 143, 2218, 10127, 10155]
"""43, 51 and 53 lost acknowledged records before flush.messages held back the high watermark; in 143 a follower
had read what its leader then lost. In 119 ZooKeeper
found its log damaged, since it had gone on without syncing what it had found there. In 2218 a new coordinator told a
commit that it alone held. In 10127 and 10155 a disk failed as a leader noted its epoch."""


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost_and_all_becomes_whole(seed: int) -> None:
    verdict = Run(seed).judge()
    if verdict.failed:
        tell(verdict)
    assert not verdict.failed, f"scripts/simulate --seed {seed} -v"


def test_a_seed_is_the_same_run_again_whatever_ran_between() -> None:
    first = Run(7).judge()
    Run(29).judge()
    assert Run(7).judge().trace == first.trace


def test_a_high_watermark_that_runs_ahead_is_caught() -> None:
    with planted("high-watermark-early"):
        assert Run(4).judge().violations
