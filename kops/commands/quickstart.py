"""``kops quickstart``: the main job, shown command by command and checked."""

import signal
import sys
import time
from typing import Annotated

import typer

from kops.commands.options import command
from kops.commands.run import Run
from kops.commands.server_verbs import Engine, KafkaHome, checked_engine
from kops.local.state import APACHE, BUNDLED
from kops.operations import quickstart

app = typer.Typer(rich_markup_mode=None)


@command(app, "quickstart", kind="Quickstart")
def play(
    run: Run,
    step: Annotated[bool, typer.Option("--step", help="Wait for a key before each command.")] = False,
    engine: Engine = BUNDLED,
    kafka_home: KafkaHome = None,
) -> None:
    """Start ZooKeeper and three brokers, write, read, kill the leader, lose nothing, and clean up."""
    options = f"--engine apache --kafka-home {kafka_home}" if checked_engine(engine) == APACHE else ""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupted)
    quickstart.play(_tell, _key if step and sys.stdin.isatty() else _go_on, options)
    run.out.say(f"\nEverything was as it should be: {time.monotonic() - began:.0f} s.")


def _interrupted(_number: int, _frame: object) -> None:
    """So that a quickstart which is terminated cleans up, too."""
    raise KeyboardInterrupt


def _tell(line: str) -> None:
    print(line, flush=True)


def _go_on() -> None:
    """Without a terminal, or without --step, it runs through."""


def _key() -> None:
    print("\n[any key to go on, ctrl-c to end] ", end="", file=sys.stderr, flush=True)
    typer.getchar()
