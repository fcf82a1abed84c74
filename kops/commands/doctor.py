"""``kops doctor``: what is wrong with a cluster, and the command that mends each finding."""

from typing import Annotated

import typer

from kops.columns.ailments import AILMENTS
from kops.commands.options import command
from kops.commands.run import Run
from kops.errors import Unhealthy
from kops.operations import doctor as operation

app = typer.Typer(rich_markup_mode=None)


@command(app, "doctor", kind="Diagnosis")
def doctor(
    run: Run,
    data_dir: Annotated[
        list[str] | None,
        typer.Option("--data-dir", help="A log directory of a broker that kops did not start.", metavar="PATH"),
    ] = None,
) -> None:
    """Compare ZooKeeper, the metadata of every broker and the disks; say what is wrong and what mends it.

    Finds brokers that are gone, partitions without a leader or with too few in sync and why, deletions that do not end,
    topics that only one side knows, directories of topics that are gone, disks that are offline, directories of another
    cluster, moves that wait, leaders that are not the preferred ones. Changes nothing. Ends with 10 when unhealthy.
    """
    found = operation.examine(operation.chart(run.session, data_dir or []))
    problems = [ailment for ailment in found if ailment.level == operation.PROBLEM]
    if problems:
        told = f"{problems[0].subject}: {problems[0].what}" + (
            f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        )
        run.errors.append(Unhealthy(told, problems[0].mend, subject=problems[0].subject))
    elif not found:
        run.out.say("nothing is wrong")
    run.show(AILMENTS, found)
