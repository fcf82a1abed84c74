"""``kops broker``: brokers of a cluster (list, describe), and those on this machine (start, stop, kill, pause)."""

from collections.abc import Callable
from typing import Annotated

import typer

from kops.cluster import brokers
from kops.columns.views import BROKER_DETAILS, BROKERS, SERVERS
from kops.commands.options import command, noun
from kops.commands.run import Run
from kops.errors import BadUsage
from kops.local import processes, servers
from kops.local.state import APACHE, BROKER, BUNDLED, Server

app = typer.Typer(help="Brokers.", no_args_is_help=True, rich_markup_mode=None)
noun(app)

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", show_default=False)]
Which = Annotated[list[str] | None, typer.Argument(metavar="ID|FILE", show_default=False)]
Daemon = Annotated[
    bool,
    typer.Option("--daemon", "-daemon", "-d", help="In the background; returns when it is registered and answers."),
]
Override = Annotated[
    list[str] | None, typer.Option("--override", help="A setting over the file's.", metavar="KEY=VALUE")
]
Engine = Annotated[str, typer.Option("--engine", help="bundled, or apache with --kafka-home")]
KafkaHome = Annotated[str | None, typer.Option("--kafka-home", help="Where Apache Kafka's libs are.", metavar="DIR")]


@command(app, "list", "ls", kind="BrokerList")
def list_brokers(run: Run) -> None:
    """List the brokers of the cluster, and who is missing."""
    run.show(BROKERS, brokers.list_brokers(run.session))


@command(app, "describe", kind="BrokerDescription")
def describe(run: Run, broker: Ids = None) -> None:
    """Describe brokers: their share of the cluster, and settings that are not defaults."""
    found = brokers.describe_brokers(run.session, broker or [])
    if run.out.form not in ("table", "wide"):
        run.show(BROKER_DETAILS, found)
        return
    run.show(BROKERS, found)
    for one in found:
        run.out.say(f"\nbroker {one.broker.id}")
        for key, value in one.configs.items():
            run.out.say(f"  {key}={value}")


@command(app, "start", kind="ServerList")
def start(
    run: Run,
    file: Annotated[str, typer.Argument(metavar="FILE|ID", show_default=False)],
    daemon: Daemon = False,
    override: Override = None,
    engine: Engine = BUNDLED,
    kafka_home: KafkaHome = None,
) -> None:
    """Start a broker by its properties file, or one that ran here before by its id."""
    run.change("start a broker")
    if file.isdigit():
        server, daemon = servers.find(BROKER, [file], run.context.cluster)[0], True
    else:
        server = servers.broker_of(file, override or (), checked_engine(engine), kafka_home)
        warn_of_every_address(run, file, override or [])
    launch(run, server, daemon)


@command(app, "stop", kind="ServerList")
def stop(
    run: Run, broker: Which = None, everyone: Annotated[bool, typer.Option("--all", help="All of them.")] = False
) -> None:
    """Stop brokers of this machine gracefully: leaderships are handed over first."""
    act(run, BROKER, broker, lambda server: servers.stop(server, run.timeout), "stopped", everyone=everyone)


@command(app, "kill", kind="ServerList")
def kill(run: Run, broker: Which = None) -> None:
    """Kill brokers of this machine (SIGKILL), as a crash would."""
    act(run, BROKER, broker, servers.kill, "killed")


@command(app, "pause", kind="ServerList")
def pause(run: Run, broker: Which = None) -> None:
    """Freeze brokers of this machine (SIGSTOP): connected, but silent."""
    act(run, BROKER, broker, servers.pause, "paused")


@command(app, "resume", kind="ServerList")
def resume(run: Run, broker: Which = None) -> None:
    """Let paused brokers go on (SIGCONT)."""
    act(run, BROKER, broker, servers.resume, "resumed")


@command(app, "logs", "log", kind="LogLine")
def logs(
    run: Run,
    broker: Which = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="And what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last.")] = 20,
) -> None:
    """Show the log of a broker of this machine."""
    show_log(run, servers.find(BROKER, broker or [], run.context.cluster)[0], lines, follow)


def launch(run: Run, server: Server, daemon: bool) -> None:
    """In the background with a row to show, or in place of this process."""
    if not daemon:
        run.close()
        servers.run_here(server)
    ready = servers.start(server, run.timeout)
    told(run, [ready], [f"{ready.name} runs at {ready.address} (pid {ready.pid}), its log is {ready.log}"])


def act(
    run: Run, kind: str, words: list[str] | None, what: Callable[[Server], object], done: str, *, everyone: bool = False
) -> None:
    """One signal to each server that is named; what each is afterwards."""
    run.change(f"signal a {kind}")
    known = servers.running(kind) if everyone else servers.find(kind, words or [], run.context.cluster)

    def one(server: Server) -> Server:
        what(server)
        return server

    handled = run.each(known, one)
    told(run, handled, [f"{done} {server.name} (pid {server.pid})" for server in handled])


def told(run: Run, known: list[Server], sentences: list[str]) -> None:
    """What happened to servers: in a sentence each, unless a format was asked for."""
    if run.settings.output is not None:
        run.show(SERVERS, [row(server) for server in known])
        return
    for sentence in sentences:
        print(sentence)


def row(server: Server) -> tuple[Server, str, int]:
    """A server with what its process is doing: the rows of the view SERVERS."""
    return server, processes.state(server), processes.memory(server)


def show_log(run: Run, server: Server, lines: int, follow: bool) -> None:
    for line in servers.log_lines(server, lines, follow=follow):
        print(line, flush=follow)


def checked_engine(engine: str) -> str:
    if engine not in (BUNDLED, APACHE):
        raise BadUsage(f"--engine {engine}: there is no such engine", f"{BUNDLED} or {APACHE}.")
    return engine


def warn_of_every_address(run: Run, file: str, overrides: list[str]) -> None:
    from kops.local.properties import broker_file

    if broker_file(file, overrides).binds_everywhere:
        run.out.say(f"note: {file} has a listener without a host: it is open to every address of this machine")
