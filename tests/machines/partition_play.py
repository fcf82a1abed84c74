"""Plays for the partition machine: one line per event, ``event -> effects``, in words.

    broker 1 leads epoch 5 isr 1 2 3 from 0      -> epoch 5 begins at 0
    append to 10
    2 fetches 10                                 -> propose ...
    | hw 7, isr 1 2                              (a line that begins with a bar only looks)

Times: ``at 12.5`` before an event moves the clock.
"""

from __future__ import annotations

import re
from typing import Any

from broker.replication.partition import (
    Change,
    Deposed,
    Effects,
    EpochBegins,
    HighWatermark,
    IllegalEvent,
    IsrCommitted,
    Partition,
    Proposal,
    ProposeIsr,
    Rules,
)
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.leader_and_isr import LeaderAndIsrPartitionState


class Play:
    """A stage with one partition on broker 1 and a lag time of 30 s."""

    def __init__(self, *, gated: bool = True, min_isr: int = 1, high_watermark: int = 0) -> None:
        self.now = 0.0
        self.min_isr = min_isr
        self.dead: set[int] = set()
        self.proposals: list[Proposal] = []
        rules = Rules(broker_id=1, lag=30.0, gated=gated, is_alive=lambda broker: broker not in self.dead)
        self.partition = Partition("orders", 3, rules, lambda: self.min_isr, high_watermark=high_watermark)

    def perform(self, script: str) -> Play:
        for number, raw in enumerate(script.strip().splitlines(), 1):
            line = raw.split("#")[0].strip()
            if line:
                self._perform(number, line)
        return self

    def _perform(self, number: int, line: str) -> None:
        event, _, wanted = (part.strip() for part in line.partition("->"))
        if event.startswith("|"):
            self._look(number, event[1:])
            return
        if match := re.match(r"at ([\d.]+) ", event):
            self.now = float(match[1])
            event = event[match.end() :].strip()
        before = repr(self.partition)
        try:
            happened = self._tell(self._event(event))
        except KafkaError as error:
            happened = ErrorCode(error.code).name
        except IllegalEvent:
            happened = "illegal"
        if happened == "illegal":
            assert repr(self.partition) == before, f"line {number}: an illegal event changed something: {line}"
        assert happened == wanted, f"line {number}: {event}\n  wanted:   {wanted or 'nothing'}\n  happened: {happened}"

    def _event(self, event: str) -> Effects:
        words = event.split()
        numbers = [int(word) for word in re.findall(r"-?\d+", event)]
        match words:
            case ["broker", _, ("leads" | "follows"), "epoch", epoch, "isr", *_]:
                isr_text, _, end = event.partition(" isr ")[2].partition(" from ")
                state = self._state(int(words[1]), int(epoch), [int(each) for each in isr_text.split()])
                if words[1] == "1":
                    return self.partition.lead(state, int(end or 0), self.now)
                return self.partition.follow(state)
            case ["stop"]:
                return self.partition.stop()
            case ["admit", *_]:
                self.partition.admit(numbers[0], *numbers[1:])
                return ()
            case ["append", "to", end]:
                return self.partition.appended(int(end), self.now)
            case [broker, "fetches", offset]:
                return self.partition.follower_fetched(int(broker), int(offset), 0, self.partition.end, self.now)
            case ["shrink"]:
                return self.partition.shrink(self.now)
            case ["reconsider"]:
                return self.partition.reconsider(self.now)
            case ["accept", nth, "version", version]:
                proposal = self.proposals[int(nth) - 1]
                epoch = proposal.leader_epoch
                return self.partition.isr_accepted(proposal, epoch, proposal.isr, int(version), self.now)
            case ["refuse", nth]:
                return self.partition.isr_refused(self.proposals[int(nth) - 1], self.now)
            case ["learn", offset, "end", end]:
                return self.partition.learned(int(offset), 0, int(end))
            case ["truncated", "to", offset]:
                self.partition.truncated(min(self.partition.high_watermark, int(offset)))
                return ()
            case [broker, "dies"]:
                self.dead.add(int(broker))
                return ()
            case ["min", "isr", minimum]:
                self.min_isr = int(minimum)
                return ()
        raise AssertionError(f"no such event: {event}")

    def _state(self, leader: int, epoch: int, isr: list[int]) -> LeaderAndIsrPartitionState:
        return LeaderAndIsrPartitionState(
            partition_index=3,
            controller_epoch=1,
            leader=leader,
            leader_epoch=epoch,
            isr=isr,
            partition_epoch=epoch * 100,
            replicas=[1, 2, 3],
        )

    def _tell(self, effects: Effects) -> str:
        return ", ".join(self._word(effect) for effect in effects)

    def _word(self, effect: Any) -> str:
        match effect:
            case HighWatermark(offset):
                return f"hw {offset}"
            case EpochBegins(epoch, start):
                return f"epoch {epoch} begins at {start}"
            case ProposeIsr(proposal):
                self.proposals.append(proposal)
                verb = "expand" if proposal.change is Change.EXPAND else "shrink"
                return f"{verb} to {_list(proposal.isr)}"
            case IsrCommitted(isr):
                return f"isr {_list(isr)}"
            case Deposed():
                return "deposed"
        raise AssertionError(effect)

    def _look(self, number: int, wanted: str) -> None:
        partition = self.partition
        for claim in (part.strip() for part in wanted.split(",")):
            name, _, value = claim.partition(" ")
            seen = {
                "hw": str(partition.high_watermark),
                "isr": _list(partition.isr),
                "maximal": _list(partition.maximal_isr),
                "pending": _list(partition.pending.isr) if partition.pending else "nothing",
                "reached": _reached(partition, value) if name == "reached" else "",
            }[name]
            assert seen == value, f"line {number}: {claim}: {seen}"


def _reached(partition: Partition, value: str) -> str:
    required, _, _ = value.partition(": ")
    answer = partition.reached(int(required))
    return f"{required}: {'waits' if answer is None else answer.name}"


def _list(numbers: tuple[int, ...]) -> str:
    return " ".join(str(number) for number in numbers)
