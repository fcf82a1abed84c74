"""``kops drill``: cause a failover on a local cluster and measure it."""

from typing import Annotated

import typer

from kops.cluster.drills import ACTIONS, Drill, Moment, Report
from kops.columns.drill_views import DRILLS
from kops.commands.options import command
from kops.commands.run import Run
from kops.errors import BadUsage, Unhealthy
from kops.operations import drill

app = typer.Typer(rich_markup_mode=None)

_ACKS = {"all": -1, "-1": -1, "1": 1}


@command(app, "drill", kind="DrillReport")
def play(
    run: Run,
    target: Annotated[str, typer.Argument(metavar="leader|controller|ID", help="Whom to harm.")] = "leader",
    action: Annotated[str, typer.Option("--action", "-a", help=" ".join(ACTIONS))] = "kill",
    topic: Annotated[
        str | None, typer.Option("--topic", help="Write there; without it, to a topic of its own.")
    ] = None,
    partition: Annotated[int, typer.Option("--partition", help="Of --topic.")] = 0,
    acks: Annotated[str, typer.Option("--acks", help="all or 1")] = "all",
    rate: Annotated[float, typer.Option("--rate", help="Records per second.")] = 200.0,
    hold: Annotated[float, typer.Option("--hold", help="Seconds that the broker stays away after the failover.")] = 2.0,
    limit: Annotated[float, typer.Option("--limit", help="Seconds to wait for each step at most.")] = 60.0,
    max_gap: Annotated[float | None, typer.Option("--max-gap", help="Exit 10 for a longer gap.", metavar="MS")] = None,
    restore: Annotated[bool, typer.Option("--restore/--no-restore", help="Bring the broker back.")] = True,
) -> None:
    """Harm a broker of a local cluster while a probe writes: timeline, write gap, what was lost. Exit 10 on a loss."""
    wanted = _wanted(target, action, topic, partition, acks, rate, hold, limit, restore)
    chosen = drill.plan(run.session, wanted)
    if not run.confirm(f"{action} broker {chosen.victim.id}", chosen.lines):
        run.show(DRILLS, [])
        return

    def tell(moment: Moment) -> None:
        run.out.say(f"{moment.ms:>+9.0f} ms  {moment.what}  [{moment.source}]")

    report = drill.run(run.context, chosen, tell)
    if bad := _complaint(report, max_gap):
        run.errors.append(bad)
    run.show(DRILLS, [report])


def _wanted(
    target: str,
    action: str,
    topic: str | None,
    partition: int,
    acks: str,
    rate: float,
    hold: float,
    limit: float,
    restore: bool,
) -> Drill:
    """Raises BadUsage for words and numbers that mean nothing."""
    if action not in ACTIONS:
        raise BadUsage(f"there is no action '{action}'", f"One of: {', '.join(ACTIONS)}.")
    if acks not in _ACKS:
        raise BadUsage(f"--acks {acks}: a probe needs answers", "all or 1.")
    if not 0 < rate <= 1000 or hold < 0 or limit <= 0:
        raise BadUsage("--rate is 1 to 1000, --hold and --limit are seconds", "For example --rate 200 --hold 2.")
    return Drill(
        target=target,
        action=action,
        topic=topic,
        partition=partition,
        acks=_ACKS[acks],
        rate=rate,
        hold=hold,
        limit=limit,
        restore=restore,
    )


def _complaint(report: Report, max_gap: float | None) -> Unhealthy | None:
    compared = report.comparison
    if report.verdict == "not whole":
        return Unhealthy(
            f"{', '.join(report.not_whole)}: not whole again, though the broker is back", "See `kops partition list`."
        )
    if report.verdict != "ok":
        return Unhealthy(
            f"{report.lost} acknowledged records were lost, {len(compared.duplicated)} are there twice, "
            f"{len(compared.out_of_order)} out of order",
            "The JSON document (-o json) names them.",
        )
    if max_gap is not None and report.write_gap_ms > max_gap:
        return Unhealthy(f"writes stood still for {report.write_gap_ms:.0f} ms, more than {max_gap:g} ms", "")
    return None
