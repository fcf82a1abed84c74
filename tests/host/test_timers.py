"""Timers run when they are due, in order, unless they were cancelled; the loop is asked for one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broker.host.timers import Timers


class Wake:
    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at, self.callback, self.is_cancelled = at, callback, False

    def cancel(self) -> None:
        self.is_cancelled = True


class Stage:
    """A loop and a clock; ``pass_time`` wakes whoever is due, as a loop does."""

    def __init__(self) -> None:
        self.now = 100.0
        self.wakes: list[Wake] = []
        self.said: list[str] = []
        self.ready: list[Callable[[], None]] = []
        loop: Any = self
        self.timers = Timers(loop, lambda: self.now)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Wake:
        self.wakes.append(Wake(self.now + seconds, callback))
        return self.wakes[-1]

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.ready.append(callback)

    @property
    def waiting(self) -> list[float]:
        return [wake.at for wake in self.wakes if not wake.is_cancelled]

    def say(self, seconds: float, word: str) -> Any:
        return self.timers.call_later(seconds, self.said.append, (word,))

    def pass_time(self, seconds: float) -> str:
        self.now += seconds
        for wake in [wake for wake in self.wakes if wake.at <= self.now and not wake.is_cancelled]:
            self.wakes.remove(wake)
            wake.callback()
        while self.ready:
            self.ready.pop(0)()
        said = " ".join(self.said)
        self.said.clear()
        return said


def test_each_runs_when_it_is_due_and_those_of_one_time_in_order() -> None:
    stage = Stage()
    for seconds, word in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")):
        stage.say(seconds, word)
    assert stage.waiting == [101.0]
    assert [stage.pass_time(1.0) for _ in range(4)] == ["a b", "c", "d", ""]
    assert (stage.waiting, len(stage.timers)) == ([], 0)


def test_what_was_cancelled_does_not_run_not_even_when_it_is_due_already() -> None:
    stage = Stage()
    first, second = stage.say(1.0, "a"), stage.say(1.0, "b")
    stage.timers.call_later(0.5, second.cancel, ())
    first.cancel()
    first.cancel()
    stage.say(1.0, "c")
    assert stage.pass_time(1.0) == "c"


def test_a_loop_that_wakes_too_early_is_asked_again() -> None:
    stage = Stage()
    stage.say(1.0, "a")
    wake = stage.wakes.pop()
    stage.now += 0.5
    wake.callback()
    assert (stage.pass_time(0.0), stage.waiting) == ("", [101.0])
    assert stage.pass_time(0.5) == "a"


def test_cancelled_ones_are_not_kept() -> None:
    stage = Stage()
    kept = stage.say(60.0, "kept")
    for _ in range(10_000):
        stage.say(30.0, "never").cancel()
    assert len(stage.timers) < 200
    assert stage.pass_time(60.0) == "kept"
    kept.cancel()
