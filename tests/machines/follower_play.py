"""Two logs in a model, written as ``1a 1b 2c`` (epoch and value of each record), and the machine between them."""

from __future__ import annotations

from dataclasses import dataclass

from broker.replication.follower import Append, Effect, Follower, Phase, RestartAt, Truncate
from broker.wire.errors import ErrorCode


@dataclass
class ModelLog:
    """Records as (epoch, value); offsets are positions, from ``start`` on. Answers as facts D.7's leader rule says."""

    records: list[tuple[int, str]]
    start: int = 0
    knows_epochs: bool = True
    led_in: int = -1  # a leader notes its own epoch, which begins at its end, when it is elected

    @staticmethod
    def of(text: str, start: int = 0) -> ModelLog:
        return ModelLog([(int(word[0]), word[1:]) for word in text.split()], start)

    @property
    def end(self) -> int:
        return self.start + len(self.records)

    @property
    def latest(self) -> int:
        return self.records[-1][0] if self.records and self.knows_epochs else -1

    def end_offset_for(self, epoch: int, log_end: int) -> tuple[int, int]:
        held = [(record[0], self.start + at) for at, record in enumerate(self.records)] if self.knows_epochs else []
        if self.led_in > self.latest:
            held.append((self.led_in, self.end))
        if epoch == -1 or not held:
            return -1, -1
        if epoch == held[-1][0]:
            return epoch, self.end
        higher = [start for other, start in held if other > epoch]
        lower = [other for other, _ in held if other <= epoch]
        if not higher:
            return -1, -1
        return (lower[-1] if lower else epoch), higher[0]

    def truncate(self, offset: int) -> None:
        del self.records[max(offset - self.start, 0) :]

    def __str__(self) -> str:
        return " ".join(f"{epoch}{value}" for epoch, value in self.records)


class Pair:
    """A follower and its leader; :meth:`settle` lets the machine ask and be answered until it has everything."""

    def __init__(
        self,
        leader: str | ModelLog,
        follower: str | ModelLog,
        *,
        leader_epoch: int = 9,
        high_watermark: int = 0,
        truncates_on_fetch: bool = True,
    ) -> None:
        self.leader = ModelLog.of(leader) if isinstance(leader, str) else leader
        self.log = ModelLog.of(follower) if isinstance(follower, str) else follower
        self.leader.led_in = leader_epoch if self.leader.knows_epochs else -1
        self.high_watermark = high_watermark
        self.story: list[str] = []
        self.now = 0.0
        self.machine = Follower(leader_epoch, self.log, truncates_on_fetch, backoff=1.0)
        self._do(self.machine.begin(self.log.end, high_watermark), "begin")

    def settle(self, limit: int = 30) -> str:
        """Ask until nothing is left to fetch; returns the story."""
        for _ in range(limit):
            if self.machine.phase is Phase.FETCHING and str(self.log) == str(self.leader):
                break
            self.ask()
        return "; ".join(self.story)

    def ask(self) -> None:
        phase, _, offset, epoch = self.machine.question()
        leader = self.leader
        if phase is Phase.TRUNCATING:
            answer = leader.end_offset_for(epoch, leader.end)
            self._do(self.machine.epoch_ended(*answer, self.high_watermark), f"epoch {epoch} ends {answer}")
        elif phase is Phase.SEEKING_END:
            self._do(self.machine.leader_ends_at(leader.end), f"leader ends at {leader.end}")
        elif phase is Phase.SEEKING_START:
            self._do(self.machine.leader_starts_at(leader.start, self.now), f"leader starts at {leader.start}")
        elif not leader.start <= offset <= leader.end and not self._diverges(epoch, offset):
            self.machine.refused(ErrorCode.OFFSET_OUT_OF_RANGE, self.now)
            self.story.append("out of range")
        elif self._diverges(epoch, offset):
            answer = leader.end_offset_for(epoch, leader.end)
            self._do(self.machine.diverged(*answer, self.high_watermark), f"diverges from {answer}")
        else:
            fresh = leader.records[offset - leader.start :]
            self._do(self.machine.fetched(has_records=bool(fresh)), f"fetched {len(fresh)}")

    def _diverges(self, epoch: int, offset: int) -> bool:
        """The leader's check of lastFetchedEpoch (IBP from 2.7)."""
        if not self.machine.truncates_on_fetch or epoch == -1 or offset < self.leader.start:
            return False
        leader_epoch, leader_end = self.leader.end_offset_for(epoch, self.leader.end)
        return leader_end != -1 and (leader_epoch < epoch or leader_end < offset)

    def _do(self, effect: Effect | None, why: str) -> None:
        self.story.append(why if effect is None else f"{why}: {effect}")
        if isinstance(effect, Truncate):
            self.story[-1] = f"{why}: cut to {effect.offset}"
            self.log.truncate(effect.offset)
        elif isinstance(effect, RestartAt):
            self.story[-1] = f"{why}: restart at {effect.offset}"
            self.log.records, self.log.start = [], effect.offset
        elif isinstance(effect, Append):
            self.story[-1] = why
            self.log.records += self.leader.records[self.machine.offset - self.leader.start :]
        else:
            return
        self.machine.at(self.log.end)
