"""The ``kops`` command: nouns, loaded when they are used, and the one place that turns errors into exit codes."""

import atexit
import gc
import io
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command

from kops.commands.apache import rewrite
from kops.commands.options import CommandFailed, noun
from kops.commands.run import Settings
from kops.errors import Exit, Failed, KopsError, nearest, translate
from kops.render.output import Output


class Noun(NamedTuple):
    """A word after ``kops``: the module and the attribute that hold its commands, its line of help, its other names."""

    module: str
    help: str
    aliases: tuple[str, ...] = ()
    attribute: str = "app"


NOUNS: dict[str, Noun] = {
    "up": Noun("kops.commands.local", "Start a cluster on this machine: ZooKeeper and brokers.", (), "up_app"),
    "status": Noun("kops.commands.local", "Clusters and servers on this machine.", (), "status_app"),
    "down": Noun("kops.commands.local", "Stop a cluster of this machine.", (), "down_app"),
    "tui": Noun("kops.commands.tui", "The dashboard: full-screen, live."),
    "drill": Noun("kops.commands.drill", "Cause a failover and measure it: write gap, what was lost."),
    "quickstart": Noun("kops.commands.quickstart", "The main job from start to failover, each step checked."),
    "topic": Noun("kops.commands.topic", "Topics: list, describe, create, alter, empty, delete, purge.", ("topics",)),
    "partition": Noun("kops.commands.partition", "Partitions: leaders, ISR, live; elect, reassign.", ("partitions",)),
    "group": Noun("kops.commands.group", "Consumer groups: list, describe, lag, reset, delete.", ("groups",)),
    "produce": Noun("kops.commands.record", "Write records: lines, a file, a pipe, NDJSON.", (), "produce_app"),
    "consume": Noun("kops.commands.record", "Read records.", (), "consume_app"),
    "record": Noun("kops.commands.record", "Records: produce, consume.", ("records",)),
    "logdir": Noun("kops.commands.logdir", "Log directories: what lies on which disk.", ("logdirs",)),
    "log": Noun("kops.commands.log", "Files of logs, read offline: dump, verify."),
    "broker": Noun("kops.commands.broker", "Brokers: list, describe, start, stop, kill, pause.", ("brokers",)),
    "zookeeper": Noun("kops.commands.zookeeper", "ZooKeeper: start, status, shell, ls, get, watch.", ("zk",)),
    "config": Noun("kops.commands.config", "Settings of topics and brokers; example files.", ("configs",)),
    "context": Noun("kops.commands.context", "Contexts: which cluster is meant.", ("contexts", "ctx")),
    "undo": Noun("kops.commands.history", "Put back what the last change changed.", (), "undo_app"),
    "history": Noun("kops.commands.history", "What kops changed and can put back.", (), "history_app"),
    "doctor": Noun("kops.commands.doctor", "What is wrong with a cluster, and what mends it.", (), "app"),
    "version": Noun("kops.commands.version", "The version of kops and of what it runs on."),
}


class Nouns(TyperGroup):
    """Loads a noun's module only when it is used, so that ``kops --help`` reads nothing but this table."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        name = _name_of(cmd_name)
        return None if name is None else _load(name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in NOUNS.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if _name_of(args[0]) is None and not args[0].startswith("-"):
            near = nearest(args[0], NOUNS)
            ctx.fail(f"No such command '{args[0]}'." + (f" Did you mean '{near}'?" if near else ""))
        return super().resolve_command(ctx, args)


def _name_of(word: str) -> str | None:
    if word in NOUNS:
        return word
    return next((name for name, entry in NOUNS.items() if word in entry.aliases), None)


def _load(name: str) -> Any:
    from importlib import import_module

    entry = NOUNS[name]
    app: typer.Typer = getattr(import_module(entry.module), entry.attribute)
    loaded = get_command(app)
    loaded.name = name
    return loaded


app = typer.Typer(
    cls=Nouns,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="kops runs Kafka and works with any Kafka: `kops NOUN VERB [NAMES] [OPTIONS]`.\n\n"
    "Start with `kops up`, then `kops topic create NAME`, `kops produce NAME`, `kops consume NAME --from-beginning`.",
)
noun(app)


atexit.register(gc.freeze)  # the interpreter collects before it ends, which takes long and finds nothing of use
_COLLECTED_AFTER = 100_000
"""Objects made between two collections: loading a client makes many, and 700, as is usual, cost it a tenth."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line. Returns the exit code (``kops.errors.Exit``); never raises."""
    words = rewrite(sys.argv[1:] if arguments is None else arguments)
    gc.set_threshold(_COLLECTED_AFTER)
    _quiet_libraries(words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal of ASCII gets what it can show
    try:
        outcome = get_command(app).main(words, prog_name="kops", standalone_mode=False)
        sys.stdout.flush()
        return int(outcome) if isinstance(outcome, int) else int(Exit.DONE)
    except CommandFailed as failure:
        return _failed(failure.error, failure.settings, failure.kind, words)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - told in words, with -v raised again
        return _failed(error, Settings(), "Error", words)


def _failed(error: BaseException, settings: Settings, kind: str, words: Sequence[str]) -> int:
    if isinstance(error, BrokenPipeError):
        # The reader went away, as `| head` does: nothing to complain about, and nothing more to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.DONE)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return int(Exit.INTERRUPTED)
    known = _usage(error) or translate(error)
    if known is None:
        if settings.verbose or any(word in ("-v", "--verbose") for word in words):
            raise error
        known = Failed(f"{type(error).__name__}: {error}", "This is a bug in kops: again with -v shows where.")
    form = settings.output or os.environ.get("KOPS_OUTPUT") or _format_in(words)
    out = Output(form if form in ("json", "yaml", "ndjson") else "table")
    if out.structured:
        print(out.whole(kind, [], [known]), flush=True)
    else:
        out.complain(known)
    return int(known.exit)


def _usage(error: BaseException) -> KopsError | None:
    """What typer found wrong with the line itself; a noun or verb alone prints its help."""
    from typer._click.exceptions import NoArgsIsHelpError, UsageError

    if not isinstance(error, UsageError):
        return None
    from kops.errors import BadUsage

    command = error.ctx.command_path if error.ctx else "kops"
    if isinstance(error, NoArgsIsHelpError):
        return BadUsage(f"{command}: what is to be done?\n{error.format_message()}")
    usage = " ".join(error.ctx.get_usage().split()) + "\n      " if error.ctx else ""
    return BadUsage(error.format_message(), f"{usage}`{command} --help` shows how it is used.")


def _format_in(words: Sequence[str]) -> str:
    """The format that a line asks for which could not be understood as a whole."""
    for before, word in pairwise(words):
        if before in ("-o", "--output"):
            return word
    return next((word.partition("=")[2] for word in words if word.startswith("--output=")), "")


def _quiet_libraries(words: Sequence[str]) -> None:
    """Client libraries narrate on their own; people get to see it with -v."""
    import logging

    loud = any(word in ("-v", "-vv", "--verbose") for word in words)
    if loud:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    for library in ("kafka", "aiokafka", "kazoo"):
        logging.getLogger(library).setLevel(logging.INFO if loud else logging.CRITICAL)
