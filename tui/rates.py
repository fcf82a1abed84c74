"""Records per second and trends, from counters that were read at different times. Pure."""

from collections import deque
from collections.abc import Mapping, Sequence

BARS = "▁▂▃▄▅▆▇█"
KEPT = 60


class Rates:
    """The last readings of counters by name, at wall milliseconds. A counter that went back begins again."""

    def __init__(self, window_ms: int = 5000) -> None:
        self.window_ms = window_ms
        self.totals: deque[float] = deque(maxlen=KEPT)
        self._readings: deque[tuple[int, Mapping[str, int]]] = deque(maxlen=KEPT)

    def add(self, at: int, counters: Mapping[str, int]) -> None:
        if self._readings and at <= self._readings[-1][0]:
            return
        if self._readings:
            before_at, before = self._readings[-1]
            grown = sum(max(0, value - before[name]) for name, value in counters.items() if name in before)
            self.totals.append(grown * 1000 / (at - before_at))
        self._readings.append((at, counters))

    def rate(self, names: Sequence[str] | None = None) -> float | None:
        """Per second over the window, of these counters (or all) together; None before two readings of one."""
        if len(self._readings) < 2:
            return None
        now_at, now = self._readings[-1]
        begin_at, begin = next(
            (reading for reading in self._readings if now_at - reading[0] <= self.window_ms), self._readings[-2]
        )
        if begin_at == now_at:
            begin_at, begin = self._readings[-2]
        both = [name for name in (now if names is None else names) if name in now and name in begin]
        if not both:
            return None
        return sum(max(0, now[name] - begin[name]) for name in both) * 1000 / (now_at - begin_at)


def spark(values: Sequence[float], width: int) -> str:
    """The last ``width`` values as bars that begin at 0; nothing for no values."""
    shown = list(values)[-width:]
    top = max(shown, default=0)
    if top <= 0:
        return BARS[0] * len(shown)
    return "".join(BARS[min(len(BARS) - 1, round(value / top * (len(BARS) - 1)))] for value in shown)


class Trends:
    """The last few values of many gauges by name, for a small trend beside each."""

    def __init__(self, kept: int = 8) -> None:
        self._values: dict[str, deque[float]] = {}
        self._kept = kept
        self.at = 0

    def add(self, at: int, values: Mapping[str, float]) -> None:
        """Readings of one moment; those of a moment that was added already are the same ones."""
        if at == self.at:
            return
        self.at = at
        for name, value in values.items():
            self._values.setdefault(name, deque(maxlen=self._kept)).append(value)
        for name in self._values.keys() - values.keys():
            del self._values[name]

    def of(self, name: str) -> Sequence[float]:
        return tuple(self._values.get(name, ()))
