"""The soaks there are, by name. A new one: write a function of a :class:`Wish`, and add a line to ``SOAKS``."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for. ``say`` prints a line of progress at once."""

    minutes: float
    seed: int
    say: Callable[[str], None]


@dataclass(slots=True)
class Verdict:
    """How it ended: ``faults`` is empty when all is well; ``figures`` are printed below."""

    figures: dict[str, object] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Soak:
    """``where`` is ``module:function``, imported only when it is run."""

    words: str
    where: str

    def run(self, wish: Wish) -> Verdict:
        module, _, function = self.where.partition(":")
        verdict: Verdict = getattr(importlib.import_module(module), function)(wish)
        return verdict


SOAKS: dict[str, Soak] = {
    "dashboard": Soak(
        "brokers go up and down while the dashboard runs in a terminal: it answers, and its memory stays flat",
        "tests.soak.dashboard:soak",
    ),
    "faults": Soak(
        "three brokers under load are killed, frozen, cut off and damaged; the checker judges what clients were told",
        "tests.soak.faults:soak",
    ),
    "mixed": Soak(
        "the same with two brokers of ours and one of Apache's, which are killed, frozen and cut off",
        "tests.soak.faults:soak_mixed",
    ),
    "silence": Soak(
        "the same with packets that go nowhere between machines of their own (network namespaces; needs root)",
        "tests.soak.faults:soak_silence",
    ),
    "hostile": Soak(
        "frames and batches that lie, floods and slow readers: an honest client notices nothing",
        "tests.soak.hostile:soak",
    ),
}
