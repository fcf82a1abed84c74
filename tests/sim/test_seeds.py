"""A few seeds of the simulation, and a planted bug that one of them must catch. Many more: ``scripts/simulate``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.sim.nemesis import Fault
from tests.sim.plants import planted
from tests.sim.run import Run
from tests.sim.scenario import Scenario
from tests.sim.simulate import shrink, tell

SEEDS = [43, 51, 53, 119, 143, 2218, 10127, 10155, 20149, 1_000_007, 1_000_009, 1_000_011]
"""43, 51 and 53 lost acknowledged records before flush.messages held back the high watermark; in 143 a follower
had read what its leader then lost. In 119 ZooKeeper
found its log damaged, since it had gone on without syncing what it had found there. In 2218 a new coordinator told a
commit that it alone held. In 10127 and 10155 a disk failed as a leader noted its epoch. In
20149 ZooKeeper went on from a log whose sync had failed. The last three are one of each theme."""


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost_and_all_becomes_whole(seed: int) -> None:
    verdict = Run(seed).judge()
    if verdict.failed:
        tell(verdict)
    assert not verdict.failed, f"scripts/simulate --seed {seed} -v"


FAILING_DISKS = (("disk fails", 5), ("power", 4), ("kill", 2), ("power all", 2), ("cut pair", 2))


@pytest.mark.parametrize("seed", [50_013, 50_024, 50_045])
def test_what_a_failed_sync_left_behind_is_not_counted_upon_after_a_restart(seed: int) -> None:
    """A broker took for good what was only in the page cache: 15 of 168 such plays lost acknowledged records."""
    disks = Scenario(seed, flush=True, kinds=FAILING_DISKS, fast_failover=seed % 2 == 0, seconds=25, pace=0.2)
    verdict = Run(seed, given=disks).judge()
    if verdict.failed:
        tell(verdict)
    assert not verdict.failed


@pytest.mark.parametrize("seed", [7, 10_000, 10_010])
def test_a_seed_is_the_same_run_again_whatever_ran_between(seed: int) -> None:
    first = Run(seed, short=True).judge()
    Run(29, short=True, faults=[]).judge()
    again = Run(seed, short=True).judge()
    assert again.trace == first.trace
    assert again.told == first.told
    assert again.lines == first.lines, "the very same log, byte for byte"
    assert again.summary == first.summary


def test_a_seed_is_the_same_run_in_another_process_with_other_hashes() -> None:
    traces = {_trace_elsewhere(hash_seed) for hash_seed in ("1", "2")}
    assert traces == {str(Run(10_010, short=True).judge().trace)}


def _trace_elsewhere(hash_seed: str) -> str:
    code = "from tests.sim.run import Run; print(Run(10_010, short=True).judge().trace)"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.interpreted
def test_a_failing_plan_is_shrunk_to_the_faults_that_matter() -> None:
    beside_the_point = Fault(5.5, "slow network", "any", 0.2, 5)
    with planted("sequence-unchecked"):
        failed = Run(30_000, short=True).judge()
        crowded = Run(30_000, short=True, faults=[*failed.faults, beside_the_point]).judge()
        shrunk = shrink(crowded, short=True)
    assert crowded.violations
    assert shrunk.violations
    assert beside_the_point not in shrunk.faults


@pytest.mark.interpreted
def test_a_high_watermark_that_runs_ahead_is_caught() -> None:
    with planted("high-watermark-early"):
        assert Run(4).judge().violations
