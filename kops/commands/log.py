"""``kops log dump|verify``: segments, indexes, snapshots and checkpoints, read offline."""

from typing import Annotated

import typer

from kops.columns.log_files import ENTRIES, FLAWS
from kops.commands.options import command, noun
from kops.commands.run import Run
from kops.errors import Unhealthy
from kops.local import log_files
from kops.local.log_files import Flaw
from kops.words import counted

app = typer.Typer(help="Files of logs, read offline.", no_args_is_help=True, rich_markup_mode=None)
noun(app)

Paths = Annotated[list[str], typer.Argument(metavar="FILE|DIR", show_default=False)]


@command(app, "dump", kind="LogDump")
def dump(
    run: Run,
    path: Paths,
    headers_only: Annotated[bool, typer.Option("--batches", help="Batches, not their records.")] = False,
) -> None:
    """Print what is in segments, indexes, snapshots, epoch and checkpoint files; of Apache's brokers, too.

    A directory stands for all that is in it. Records of __consumer_offsets are decoded. JSON is a line per entry.
    Reads files only: a broker may run, and then the last batch may be half written.
    """
    for file in log_files.files(path):
        if not run.out.structured:
            run.out.say(f"{file}:")
        for found in log_files.dump(file, records=not headers_only):
            if isinstance(found, Flaw):
                run.errors.append(_error(found))
            else:
                run.out.stream(ENTRIES, found)


@command(app, "verify", kind="LogVerification")
def verify(run: Run, path: Paths) -> None:
    """Check sizes, CRCs, offsets and counts of segments, indexes against their logs, snapshots and checkpoints.

    Ends with 10 when something is wrong. On files of a running broker the last batch may be half written.
    """
    checked = log_files.files(path)
    flaws = [flaw for file in checked for flaw in log_files.verify(file)]
    run.out.say(f"{counted(len(checked), 'file')} checked, {counted(len(flaws), 'flaw')}")
    run.errors += [_error(flaw) for flaw in flaws]
    run.show(FLAWS, flaws)


def _error(flaw: Flaw) -> Unhealthy:
    return Unhealthy(
        f"{flaw.file} at {flaw.at}: {flaw.what}",
        "A broker that starts on it cuts a damaged end off and fetches it again; rebuilds indexes.",
        subject=flaw.file,
    )
