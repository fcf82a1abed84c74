"""Bugs to be planted in the broker, each of which some seed must catch: they show that the simulation sees.

Each breaks one of the rules that keep what was acknowledged. ``planted(name)`` plants it for as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from broker.controller import isr_changes, leader_election
from broker.replication import zookeeper_isr
from broker.replication.follower import Effect, Follower, Truncate
from broker.replication.partition import Effects, HighWatermark, Partition, Role
from broker.replication.role_changes import RoleChanges
from broker.storage.producer_state import ProducerState
from broker.wire.errors import ErrorCode
from broker.zk.operations import SetData


def _advance_to_own_end(self: Partition, now: float) -> Effects:
    if self.end <= self.high_watermark:
        return ()
    self.high_watermark = self.end
    return (HighWatermark(self.end),)


def _begin_at_high_watermark(self: Follower, log_end: int, high_watermark: int) -> Effect | None:
    self.at(log_end)
    return Truncate(high_watermark) if high_watermark < log_end else None


def _done_at_once(self: Partition, required: int) -> ErrorCode | None:
    return ErrorCode.NONE if self.role is Role.LEADER else ErrorCode.NOT_LEADER_OR_FOLLOWER


def _any_version(path: str, data: bytes, version: int = -1) -> SetData:
    return SetData(path, data, -1)


def _no_error(*_: Any, **__: Any) -> None:
    return None


def _committed_isr_only(self: Partition, change: Any, isr: tuple[int, ...]) -> Effects:
    effects = _propose(self, change, isr)
    self.maximal_isr = isr
    return effects


_propose = Partition._propose
_offline = leader_election.offline


def _unclean(*args: Any, **settings: Any) -> Any:
    return _offline(*args, **{**settings, "unclean": True})


def _never_diverged(self: Follower, epoch: int, end_offset: int, high_watermark: int) -> Truncate | None:
    return None


PLANTS: dict[str, list[tuple[Any, str, Any]]] = {
    "high-watermark-early": [(Partition, "_advance", _advance_to_own_end)],
    "truncate-by-high-watermark": [(Follower, "begin", _begin_at_high_watermark)],
    "isr-without-version": [
        (isr_changes, "SetData", _any_version),
        (isr_changes, "_epoch_error", _no_error),
        (isr_changes, "_error", _no_error),
    ],
    "zookeeper-isr-without-version": [(zookeeper_isr, "SetData", _any_version)],
    "acknowledge-early": [(Partition, "reached", _done_at_once)],
    "shrink-before-accepted": [(Partition, "_propose", _committed_isr_only)],
    "leader-epoch-unchecked": [(Partition, "check_epoch", _no_error)],
    "controller-epoch-unchecked": [(RoleChanges, "check_epochs", _no_error)],
    "sequence-unchecked": [(ProducerState, "check", _no_error)],
    "unclean-election": [(leader_election, "offline", _unclean)],
    "divergence-ignored": [(Follower, "diverged", _never_diverged)],
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plant it; raises KeyError for a name that is not in ``PLANTS``."""
    with ExitStack() as stack:
        for owner, attribute, bug in PLANTS[name]:
            stack.enter_context(patch.object(owner, attribute, bug))
        yield
