"""Requests that wait for a replica: plain objects in lists (kafka.server.DelayedProduce, DelayedFetch).

A :class:`WaitingProduce` ends exactly once: each of its partitions is past its required offset (or failed), its time
is up (REQUEST_TIMED_OUT), or its connection is gone. A :class:`Wake` gathers, within one turn of the event loop, the
parked fetches that have something new, so that one reply carries what a whole burst of requests appended.
"""

from __future__ import annotations

import asyncio
from bisect import insort_right
from collections import deque
from collections.abc import Callable
from typing import Protocol

from broker.host import Clock, Timer
from broker.wire.errors import ErrorCode


class Outcome(Protocol):
    """The partition's part of a reply; its error code is set when its wait ends."""

    error_code: int


class Ack:
    """One partition of a waiting request: done once its queue's offset reaches ``required``."""

    __slots__ = ("outcome", "owner", "queue", "required")

    def __init__(self, queue: AckQueue, required: int, outcome: Outcome, owner: WaitingProduce) -> None:
        self.queue = queue
        self.required = required
        self.outcome = outcome
        self.owner = owner


def _required(ack: Ack) -> int:
    return ack.required


class AckQueue:
    """Who waits on one partition, by ascending required offset.

    ``reached(required)`` tells how a wait ended, or None while it goes on.
    """

    __slots__ = ("_reached", "_waiting")

    def __init__(self, reached: Callable[[int], ErrorCode | None]) -> None:
        self._reached = reached
        self._waiting: deque[Ack] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, ack: Ack) -> None:
        if self._waiting and self._waiting[-1].required > ack.required:
            insort_right(self._waiting, ack, key=_required)  # the retry of an older batch waits for less
        else:
            self._waiting.append(ack)

    def remove(self, ack: Ack) -> None:
        """Its request ended otherwise."""
        if ack in self._waiting:
            self._waiting.remove(ack)

    def release(self) -> None:
        """The offset moved: end those that were waiting for it."""
        waiting = self._waiting
        while waiting:
            error = self._reached(waiting[0].required)
            if error is None:
                return
            ack = waiting.popleft()
            ack.owner.ended(ack, error)

    def fail(self, error: ErrorCode) -> None:
        """End all of them."""
        waiting, self._waiting = self._waiting, deque()
        for ack in waiting:
            ack.owner.ended(ack, error)


class WaitingProduce:
    """A produce with acks=all (or a DeleteRecords) until all of its partitions are done. ``finish`` is called once."""

    __slots__ = ("_acks", "_finish", "_timer")

    def __init__(self, finish: Callable[[], None]) -> None:
        self._acks: dict[Ack, None] = {}
        self._finish = finish
        self._timer: Timer | None = None

    def wait_for(self, queue: AckQueue, required: int, outcome: Outcome) -> None:
        """One more partition; ``outcome.error_code`` is set when it ends."""
        ack = Ack(queue, required, outcome, self)
        self._acks[ack] = None
        queue.add(ack)

    def release(self) -> None:
        """End what is past its offset already: a lone replica commits at once, a retry may long be committed."""
        for ack in list(self._acks):
            ack.queue.release()

    def park(self, clock: Clock, timeout: float) -> None:
        """All partitions are named, and some still wait: ``finish`` is called within ``timeout`` seconds."""
        self._timer = clock.call_later(timeout, self._expire)

    @property
    def is_waiting(self) -> bool:
        return bool(self._acks)

    def ended(self, ack: Ack, error: ErrorCode) -> None:
        """For the queue: this partition is done."""
        if ack not in self._acks:
            return
        del self._acks[ack]
        ack.outcome.error_code = int(error)
        if not self._acks and self._timer is not None:
            self._end()

    def drop(self) -> None:
        """The connection is gone: nobody is to be answered."""
        self._leave()
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        for ack in self._acks:
            ack.outcome.error_code = int(ErrorCode.REQUEST_TIMED_OUT)
        self._leave()
        self._end()

    def _leave(self) -> None:
        acks, self._acks = self._acks, {}
        for ack in acks:
            ack.queue.remove(ack)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._finish()


class Parked(Protocol):
    """A fetch that waits for bytes."""

    def look(self) -> None:
        """Something new may be there: answer if it is enough."""
        ...

    def finish(self) -> None:
        """Answer with what there is."""
        ...


class Wake:
    """Looks at every woken fetch once, at the end of this turn of the event loop, in the order of waking."""

    __slots__ = ("_scheduled", "_woken")

    def __init__(self) -> None:
        self._woken: dict[Parked, None] = {}
        self._scheduled = False

    def add(self, parked: Parked) -> None:
        self._woken[parked] = None
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._scheduled = False
        woken, self._woken = self._woken, {}
        for parked in woken:
            parked.look()
