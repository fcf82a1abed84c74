"""Requests that wait for replicas end exactly once, whatever ends them first."""

from __future__ import annotations

from dataclasses import dataclass

from broker.replication.purgatory import AckQueue, WaitingProduce
from broker.wire.errors import ErrorCode


@dataclass
class Outcome:
    error_code: int = 0


class Stage:
    """One partition whose high watermark the test moves, and the requests that wait for it."""

    def __init__(self) -> None:
        self.high_watermark = 0
        self.lost = False
        self.queue = AckQueue(self.reached)
        self.finished: list[str] = []

    def reached(self, required: int) -> ErrorCode | None:
        if self.lost:
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        return ErrorCode.NONE if self.high_watermark >= required else None

    def wait(self, name: str, *required: int) -> tuple[WaitingProduce, list[Outcome]]:
        waiting = WaitingProduce(lambda: self.finished.append(name))
        outcomes = [Outcome() for _ in required]
        for offset, outcome in zip(required, outcomes, strict=True):
            waiting.wait_for(self.queue, offset, outcome)
        return waiting, outcomes

    def move(self, high_watermark: int) -> None:
        self.high_watermark = high_watermark
        self.queue.release()


class Clock:
    """A clock whose one timer the test fires."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def monotonic(self) -> float:
        return 0.0

    def wall_ms(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError

    def call_later(self, seconds: float, callback: object, *args: object) -> Timer:
        self.timers.append(Timer(callback))
        return self.timers[-1]


@dataclass
class Timer:
    callback: object
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True

    def fire(self) -> None:
        assert not self.cancelled
        self.callback()  # type: ignore[operator]


def test_each_ends_when_the_high_watermark_has_passed_it_and_in_order() -> None:
    stage, clock = Stage(), Clock()
    for name, required in (("a", 3), ("b", 5), ("c", 9)):
        stage.wait(name, required)[0].park(clock, 1)
    stage.move(5)
    assert stage.finished == ["a", "b"]
    assert [timer.cancelled for timer in clock.timers] == [True, True, False]
    stage.move(9)
    assert stage.finished == ["a", "b", "c"]
    assert len(stage.queue) == 0


def test_the_retry_of_an_older_batch_does_not_wait_behind_newer_ones() -> None:
    stage, clock = Stage(), Clock()
    stage.wait("new", 9)[0].park(clock, 1)
    stage.wait("retry", 4)[0].park(clock, 1)
    stage.move(4)
    assert stage.finished == ["retry"]


def test_a_request_is_answered_when_the_last_of_its_partitions_is_done() -> None:
    stage, clock = Stage(), Clock()
    waiting, _ = stage.wait("both", 2, 6)
    waiting.park(clock, 1)
    stage.move(2)
    assert stage.finished == []
    stage.move(6)
    assert stage.finished == ["both"]


def test_what_is_committed_already_needs_no_parking() -> None:
    stage = Stage()
    stage.high_watermark = 5
    waiting, [outcome] = stage.wait("a", 5)
    waiting.release()
    assert not waiting.is_waiting
    assert outcome.error_code == 0
    assert stage.finished == []  # the caller answers at once


def test_when_the_time_is_up_only_what_still_waits_is_told_so() -> None:
    stage, clock = Stage(), Clock()
    waiting, outcomes = stage.wait("a", 2, 6)
    waiting.park(clock, 1)
    stage.move(2)
    clock.timers[0].fire()
    assert [outcome.error_code for outcome in outcomes] == [0, ErrorCode.REQUEST_TIMED_OUT]
    stage.move(6)
    assert stage.finished == ["a"]
    assert [outcome.error_code for outcome in outcomes] == [0, ErrorCode.REQUEST_TIMED_OUT]


def test_lost_leadership_and_failed_disks_end_all_that_wait() -> None:
    stage, clock = Stage(), Clock()
    first, [one] = stage.wait("a", 2)
    first.park(clock, 1)
    second, [other] = stage.wait("b", 8)
    second.park(clock, 1)
    stage.queue.fail(ErrorCode.KAFKA_STORAGE_ERROR)
    assert (one.error_code, other.error_code) == (ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.KAFKA_STORAGE_ERROR)
    stage.move(10)
    assert stage.finished == ["a", "b"]


def test_a_dropped_connection_leaves_nothing_behind_and_nobody_is_answered() -> None:
    stage, clock = Stage(), Clock()
    waiting, _ = stage.wait("a", 2, 3)
    waiting.park(clock, 1)
    waiting.drop()
    assert len(stage.queue) == 0
    assert clock.timers[0].cancelled
    stage.move(5)
    assert stage.finished == []
