"""``kops version``: kops itself, Python, and the libraries that speak to clusters."""

import platform

import typer

from kops import __version__
from kops.columns import Column, View
from kops.commands.options import command
from kops.commands.run import Run

app = typer.Typer(rich_markup_mode=None)

VERSIONS: View[tuple[str, str]] = View(
    "Version",
    (Column("PART", lambda row: row[0]), Column("VERSION", lambda row: row[1])),
    lambda row: {"part": row[0], "version": row[1]},
    lambda row: row[0],
)


@command(app, "version", kind="Version")
def version(run: Run) -> None:
    """Show the version of kops and of what it runs on."""
    from importlib.metadata import version as installed

    parts = [("kops", __version__), ("python", platform.python_version())]
    parts += [(name, installed(name)) for name in ("kafka-python", "aiokafka", "kazoo")]
    run.show(VERSIONS, parts)
