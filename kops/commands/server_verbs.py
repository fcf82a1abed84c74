"""What ``kops broker`` and ``kops zookeeper`` share: servers of this machine started, signalled, shown."""

from collections.abc import Callable
from typing import Annotated

import typer

from kops.columns.views import SERVERS
from kops.commands.options import command
from kops.commands.run import Run
from kops.errors import BadUsage
from kops.local import processes, servers
from kops.local.state import APACHE, BROKER, BUNDLED, Server

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
All = Annotated[bool, typer.Option("--all", help="All of them.")]


def add_to(app: typer.Typer, kind: str) -> None:
    """Declare stop, kill, pause, resume and logs for the servers of a kind."""
    whom = "brokers" if kind == BROKER else "ZooKeeper servers"
    handed = ": leaderships are handed over first" if kind == BROKER else ""

    def stop(run: Run, server: Which = None, everyone: All = False) -> None:
        act(run, kind, server, lambda one: servers.stop(one, run.timeout), "stopped", everyone=everyone)

    def logs(
        run: Run,
        server: Which = None,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="And what comes.")] = False,
        lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last.")] = 20,
    ) -> None:
        for line in servers.log_lines(servers.find(kind, server or [], run.context.cluster)[0], lines, follow=follow):
            print(line, flush=follow)

    def signalling(what: Callable[[Server], object], done: str) -> Callable[..., None]:
        def verb(run: Run, server: Which = None) -> None:
            act(run, kind, server, what, done)

        return verb

    verbs = {
        "stop": (stop, f"Stop {whom} of this machine gracefully{handed}."),
        "kill": (signalling(servers.kill, "killed"), f"Kill {whom} of this machine (SIGKILL), as a crash would."),
        "pause": (
            signalling(servers.pause, "paused"),
            f"Freeze {whom} (SIGSTOP): connected, but silent.",
        ),
        "resume": (signalling(servers.resume, "resumed"), f"Let paused {whom} go on (SIGCONT)."),
    }
    for name, (verb, text) in verbs.items():
        verb.__doc__ = text
        command(app, name, kind="ServerList")(verb)
    logs.__doc__ = f"Show the log of one of the {whom} of this machine."
    command(app, "logs", "log", kind="LogLine")(logs)


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


def checked_engine(engine: str) -> str:
    if engine not in (BUNDLED, APACHE):
        raise BadUsage(f"--engine {engine}: there is no such engine", f"{BUNDLED} or {APACHE}.")
    return engine
