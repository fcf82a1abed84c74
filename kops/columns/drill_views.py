"""The view of a drill: its verdict in a row, everything that was measured in JSON."""

from kops.cluster.drills import Report
from kops.columns import Column, View


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def errors(report: Report) -> str:
    return ",".join(f"{name}:{times}" for name, times in sorted(report.errors.items())) or "-"


DRILLS: View[Report] = View(
    "DrillReport",
    (
        Column("ACTION", lambda one: one.action),
        Column("BROKER", lambda one: one.broker),
        Column("ACKS", lambda one: one.acks),
        Column("WRITE-GAP-MS", lambda one: _ms(one.write_gap_ms)),
        Column("READ-GAP-MS", lambda one: _ms(one.read_gap_ms)),
        Column("LEADER-MS", lambda one: _ms(one.leader_ms)),
        Column("ISR-MS", lambda one: _ms(one.isr_ms)),
        Column("WHOLE-MS", lambda one: _ms(one.whole_ms)),
        Column("ACKNOWLEDGED", lambda one: one.acknowledged),
        Column("LOST", lambda one: one.lost),
        Column("DUPLICATED", lambda one: len(one.comparison.duplicated)),
        Column("OUT-OF-ORDER", lambda one: len(one.comparison.out_of_order)),
        Column("ERRORS", errors),
        Column("VERDICT", lambda one: one.verdict),
    ),
    lambda one: {
        "action": one.action,
        "broker": one.broker,
        "topic": one.topic,
        "partition": one.partition,
        "acks": one.acks,
        "verdict": one.verdict,
        "writeGapMs": one.write_gap_ms,
        "readGapMs": one.read_gap_ms,
        "slowestUsualMs": one.slowest_usual_ms,
        "leaderMs": one.leader_ms,
        "isrMs": one.isr_ms,
        "wholeMs": one.whole_ms,
        "sent": one.sent,
        "acknowledged": one.acknowledged,
        "read": one.comparison.read,
        "lost": list(one.comparison.lost),
        "duplicated": list(one.comparison.duplicated),
        "outOfOrder": list(one.comparison.out_of_order),
        "storedUnacknowledged": one.comparison.unasked,
        "notWhole": list(one.not_whole),
        "errors": dict(one.errors),
        "timeline": [{"ms": moment.ms, "what": moment.what, "source": moment.source} for moment in one.timeline],
    },
    lambda one: one.verdict,
)
