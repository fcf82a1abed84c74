"""Three hundred short plays, divided over files so that they run side by side."""

from __future__ import annotations

from tests.sim.run import Run
from tests.sim.simulate import tell

FIRST, FILES, EACH = 30_000, 4, 75


def seeds(file: int) -> range:
    """Those of file number ``file``, from 0."""
    return range(FIRST + file * EACH, FIRST + (file + 1) * EACH)


def play(seed: int) -> None:
    """Passes, or tells all that is needed to understand the failure."""
    verdict = Run(seed, short=True).judge()
    if verdict.failed:
        tell(verdict)
    assert not verdict.failed, f"scripts/simulate --short --seed {seed} -v"
