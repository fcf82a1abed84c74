"""A drill from the ISR screen: choose what to do to whom, see the plan, confirm, and watch the probe."""

import time
from collections.abc import Mapping

from rich.text import Text
from textual import work
from textual.widgets import Static

from kops.cluster.drills import Drill, Report
from kops.cluster.probe import Tally
from kops.errors import KopsError
from tui.messages import whole
from tui.screens.base import KopsScreen
from tui.snapshots import LOADING, count
from tui.widgets.dialogs import Choose, Confirm, Plan

_KINDS = (
    ("kill", -1, "SIGKILL, acks=all: a crash, a careful producer"),
    ("kill", 1, "SIGKILL, acks=1: a crash, a careless producer"),
    ("stop", -1, "SIGTERM, acks=all: a graceful stop"),
    ("restart", -1, "SIGTERM and start, acks=all: a rolling step"),
    ("pause", -1, "SIGSTOP, acks=all: a long garbage collection"),
)


class DrillMenu(KopsScreen):
    """A screen with a probe line. One drill at a time, over the whole dashboard."""

    def drill_target(self) -> str:
        """``leader`` (of the drill's own topic), or a broker's id."""
        return "leader"

    def action_drill(self) -> None:
        context = self.feed.context
        if context.cluster is None:
            self.kops.say("kops did not start this cluster: a drill would harm somebody else's brokers", bad=True)
        elif context.read_only:
            self.kops.say("this context is read-only", bad=True)
        elif self.feed.drilling:
            self.kops.say("a drill is under way", bad=True)
        else:
            self._drill(self.drill_target())

    @work(group="dialogs")
    async def _drill(self, target: str) -> None:
        names = [("controller", "the controller")] + ([] if target == "leader" else [(target, f"broker {target}")])
        options = [
            (f"{key} {action} {acks}", f"{action} {words} — {meaning}")
            for key, words in reversed(names)
            for action, acks, meaning in _KINDS
        ]
        chosen = await self.kops.ask(Choose("Which drill? The probe writes to a topic of its own.", options))
        if chosen is None:
            return
        key, action, acks = chosen.split()
        drill = Drill(target=key, action=action, acks=int(acks))
        try:
            plan = await self.feed.plan_drill(drill)
            asked = Plan(
                question=f"{action} broker {plan.victim.id} and measure?",
                lines=tuple(plan.lines),
                command=f"kops drill {key} --action {action} --acks {drill.acks_name}",
                typed=self.feed.context.name if self.feed.context.protected else "",
            )
            if not await self.kops.ask(Confirm(asked)):
                self.kops.say("drill: not done")
                return
            self.kops.say("a drill is under way")
            report = await self.feed.drill(plan)
            self.kops.say(f"drill: {report.verdict}", bad=report.verdict != "ok")
        except KopsError as error:
            self.kops.say(f"drill: {whole(error)}", bad=True)

    def paint_probe(self, line: Static) -> None:
        """Below the timeline; nothing at all before the first drill."""
        feed = self.feed
        line.display = feed.report is not None or feed.drilling
        if not line.display:
            return
        text = Text("probe ", "bold")
        if feed.report is not None:
            text.append_text(verdict(feed.report))
        elif feed.tally is None:
            text.append(f"is being set up {LOADING}")
        else:
            text.append_text(progress(feed.tally, time.time_ns() / 1e6))
        line.update(text)


def progress(tally: Tally, now: float) -> Text:
    """While it writes: how much, and for how long nothing was acknowledged."""
    acknowledged = tally.acknowledged
    text = Text(f"acknowledged {count(len(acknowledged))} of {count(tally.sent)}")
    silence = now - acknowledged[-1].at if acknowledged else 0.0
    text.append(f"   nothing for {silence:.0f} ms", "bold red" if silence > 250 else "")
    if tally.errors:
        text.append(f"   errors {_errors(tally.errors)}", "yellow")
    text.append(f"   lost {LOADING}", "dim")
    return text


def verdict(report: Report) -> Text:
    """Afterwards: what was measured, and what reading back showed."""
    compared = report.comparison
    text = Text(f"{report.action} broker {report.broker}, acks={report.acks}  ")
    text.append(f"write gap {report.write_gap_ms:.0f} ms", "bold")
    if report.read_gap_ms is not None:
        text.append(f"  read gap {report.read_gap_ms:.0f} ms", "bold")
    text.append(f"  (before: up to {report.slowest_usual_ms:.0f})  acknowledged {report.acknowledged}  ")
    for label, number in (
        ("lost", report.lost),
        ("twice", len(compared.duplicated)),
        ("out of order", len(compared.out_of_order)),
    ):
        text.append(f"{label} {number}  ", "bold white on red" if number else "bold green")
    if report.not_whole:
        text.append(f"not whole again: {', '.join(report.not_whole[:3])}  ", "bold red")
    if report.errors:
        text.append(f"errors {_errors(report.errors)}", "yellow")
    return text


def _errors(errors: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(errors.items()))
