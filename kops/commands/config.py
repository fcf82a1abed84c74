"""``kops config init``: commented example files for ZooKeeper and a broker."""

from pathlib import Path
from typing import Annotated

import typer

from kops.columns import Column, View
from kops.commands.options import command, noun
from kops.commands.run import Run
from kops.errors import Refused
from kops.local.examples import example

app = typer.Typer(help="Configuration.", no_args_is_help=True, rich_markup_mode=None)
noun(app)

FILES: View[str] = View(
    "FileList", (Column("FILE", lambda path: path),), lambda path: {"path": path}, lambda path: path
)


@command(app, "init", kind="FileList")
def init(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write DIR/config/zookeeper.properties and DIR/config/server.properties."""
    written = [folder / "config" / name for name in ("zookeeper.properties", "server.properties")]
    present = [path for path in written if path.exists()]
    if present and not force:
        raise Refused(f"{present[0]} is there already", "Say --force to overwrite it, or name another folder.")
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example(path.name), encoding="utf-8")
    run.show(FILES, [str(path) for path in written])
    run.out.say(f"next: kops zookeeper start {written[0]} --daemon\n      kops broker start {written[1]} --daemon")
