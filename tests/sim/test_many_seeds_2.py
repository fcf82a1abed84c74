"""Short plays, part 2 of 4 (see ``tests/sim/many.py``)."""

from __future__ import annotations

import pytest

from tests.sim.many import play, seeds


@pytest.mark.parametrize("seed", seeds(1))
def test_a_short_play_loses_nothing_and_ends_whole(seed: int) -> None:
    play(seed)
