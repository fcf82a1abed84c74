"""One server at a time: start it and wait until it answers, stop, kill, pause, resume, and read its log."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kops.cluster import zookeeper
from kops.cluster.metadata import snapshot
from kops.contexts import Context
from kops.errors import Failed, KopsError, NotFound, Refused, Unreachable, not_found
from kops.local import processes, properties, state
from kops.local.processes import PAUSED, STOPPED
from kops.local.state import BROKER, BUNDLED, ZOOKEEPER, Server
from kops.session import Session


def broker_of(file: str, overrides: Sequence[str] = (), engine: str = BUNDLED, kafka_home: str | None = None) -> Server:
    """The broker that a properties file describes, not started. Raises NotFound, BadUsage."""
    read = properties.broker_file(file, overrides)
    broker = read.id if read.id >= 0 else properties.assigned_id(read.log_dirs)
    return _described(
        Server(BROKER, read.path, read.address, "", broker, overrides=tuple(overrides)), engine, kafka_home
    )


def zookeeper_of(
    file: str, overrides: Sequence[str] = (), engine: str = BUNDLED, kafka_home: str | None = None
) -> Server:
    """The ZooKeeper server that a properties file describes, not started. Raises NotFound, BadUsage."""
    read = properties.zookeeper_file(file, overrides)
    return _described(Server(ZOOKEEPER, read.path, read.address, "", overrides=tuple(overrides)), engine, kafka_home)


def _described(server: Server, engine: str, kafka_home: str | None) -> Server:
    """What was remembered of the same file stays: its log, its cluster, its process if it still runs."""
    before = next((one for one in state.servers() if one.key == server.key), None)
    log = (
        before.log
        if before and before.log
        else str(state.state_dir() / "logs" / f"{server.key}-{Path(server.file).stem}.log")
    )
    home = kafka_home or (before.kafka_home if before and engine == before.engine else None)
    return replace(
        server,
        log=log,
        engine=engine,
        kafka_home=home,
        cluster=before.cluster if before else None,
        pid=before.pid if before else 0,
        started=before.started if before else 0.0,
    )


def start(server: Server, timeout: float) -> Server:
    """Start in the background and wait until it answers and is registered.

    Raises Refused when it runs already, Failed with the last lines of its log when it ends or is not there in time.
    """
    _refuse_if_running(server)
    pid, started = processes.spawn(server)
    begun = replace(server, pid=pid, started=started, dismissed=False)
    state.remember(begun)
    return wait_ready(begun, timeout)


def _refuse_if_running(server: Server) -> None:
    if processes.state(server) != STOPPED:
        raise Refused(f"{server.name} is running already (pid {server.pid})", "`kops status` shows it.")


def wait_ready(server: Server, timeout: float) -> Server:
    """Raises Failed with the last lines of the log."""
    deadline = time.monotonic() + timeout
    while True:
        if processes.state(server) == STOPPED:
            state.remember(replace(server, dismissed=True))  # who started it is told now
            raise Failed(f"{server.name} ended: {_last_words(server)}", f"Its log: {server.log}", subject=server.name)
        try:
            if processes.listens(server):  # a server of somebody else may answer there
                return _answering(server)
            reason = f"it does not listen on {server.address} yet"
        except KopsError as error:
            reason = error.what
        if time.monotonic() > deadline:
            raise Failed(
                f"{server.name} runs but does not answer after {timeout:g} s: {reason}{_last_words(server)}",
                f"Its log: {server.log}. `kops {server.kind} stop` ends it.",
            )
        time.sleep(0.05)


def _answering(server: Server) -> Server:
    """The server, with the id that a broker gave itself. Raises Unreachable while it is not there yet."""
    if server.kind == ZOOKEEPER:
        zookeeper.four_letter_word(server.address, "srvr", timeout=2.0)
        zookeeper.status(server.address)
        return server
    if server.id < 0:
        settings = properties.broker_file(server.file, server.overrides)
        server = replace(server, id=properties.assigned_id(settings.log_dirs))
        state.remember(server)
    from kafka.errors import KafkaError

    try:
        with Session(Context(bootstrap_servers=server.address), timeout=2.0) as session:
            if snapshot(session, []).broker(server.id) is not None:
                return server
    except KafkaError as error:
        raise Unreachable(f"{server.address}: {type(error).__name__}") from error
    raise Unreachable(f"{server.name} is not in the metadata yet")


def _last_words(server: Server) -> str:
    """The last lines of its log, or that there are none."""
    lines = processes.last_words(server, 12)
    return "\n  " + "\n  ".join(lines) if lines else "it wrote nothing to its log"


def run_here(server: Server) -> None:
    """Become the server: this process is replaced by it, so that ctrl-c and its exit code are its own.

    Raises Refused when it runs already.
    """
    import psutil

    _refuse_if_running(server)
    words = processes.command_line(server)
    state.remember(replace(server, pid=os.getpid(), started=float(psutil.Process().create_time()), log=""))
    sys.stdout.flush()
    os.execvp(words[0], words)


def stop(server: Server, timeout: float) -> float:
    """SIGTERM: a broker hands its leaderships over first. Seconds it took. Raises Failed when it is still there."""
    began = time.monotonic()
    paused = processes.state(server) == PAUSED
    state.remember(replace(server, dismissed=True))
    processes.send(server, signal.SIGTERM)
    if paused:
        processes.send(server, signal.SIGCONT)
    if not processes.wait_gone(server, timeout):
        raise Failed(
            f"{server.name} (pid {server.pid}) is still stopping after {timeout:g} s",
            f"See {server.log}, wait longer with --timeout, or `kops {server.kind} kill`.",
        )
    return time.monotonic() - began


def kill(server: Server) -> float:
    """SIGKILL: as a power cut for this one process. Seconds until it was gone."""
    began = time.monotonic()
    processes.send(server, signal.SIGKILL)
    processes.wait_gone(server, 10.0)
    return time.monotonic() - began


def pause(server: Server) -> None:
    """SIGSTOP: it keeps its connections and says nothing, as in a long garbage collection."""
    processes.send(server, signal.SIGSTOP)
    processes.wait_state(server, 10.0, PAUSED, STOPPED)


def resume(server: Server) -> None:
    processes.send(server, signal.SIGCONT)


def running(kind: str) -> list[Server]:
    """Every server of a kind that runs or is paused."""
    return [one for one in state.servers() if one.kind == kind and processes.state(one) != STOPPED]


def find(kind: str, words: Sequence[str], cluster: str | None) -> list[Server]:
    """The servers that ids or files name; without any, the only one there is.

    ``cluster`` decides between equal ids. Raises NotFound; Refused when it stays open which one is meant.
    """
    known = [one for one in state.servers() if one.kind == kind]
    ours = [one for one in known if cluster is not None and one.cluster == cluster]
    if not words:
        return [_only(ours or known, kind)]
    return [_named(word, known, ours, kind) for word in words]


def _only(known: Sequence[Server], kind: str) -> Server:
    if len(known) == 1:
        return known[0]
    if not known:
        raise NotFound(f"kops knows no {kind} on this machine", f"Start one: `kops {kind} start FILE`, or `kops up`.")
    which = ", ".join(str(one.id) if kind == BROKER else one.file for one in known)
    raise Refused(f"there are {len(known)} {kind}s here: which one is meant?", f"One of: {which}.")


def _named(word: str, known: Sequence[Server], ours: Sequence[Server], kind: str) -> Server:
    by_file = [one for one in known if one.file == os.path.abspath(word)]
    by_id = [one for one in ours if str(one.id) == word] or [one for one in known if str(one.id) == word]
    found = by_file or by_id
    if not found:
        names = [str(one.id) if kind == BROKER else one.file for one in known]
        raise not_found(kind, word, names, f"On this machine: {', '.join(names) or 'none'}.")
    if len(found) > 1:
        if by_file:
            ids = ", ".join(str(one.id) for one in found) if kind == BROKER else ", ".join(one.address for one in found)
            raise Refused(f"several {kind}s were started with {word}", f"Of these: {ids}. Say which by its id.")
        files = ", ".join(one.file for one in found)
        raise Refused(f"{kind} {word} is not the only one of that id here", f"Say which by its file: {files}.")
    return found[0]


def log_lines(server: Server, count: int, *, follow: bool) -> Iterator[str]:
    """The last ``count`` lines of its log, and with ``follow`` every new one until it ends."""
    if not server.log:
        raise NotFound(
            f"{server.name} was started in the foreground: its log is on that terminal", "Start it with --daemon."
        )
    at = os.path.getsize(server.log) if os.path.exists(server.log) else 0
    yield from processes.tail(server.log, count)
    rest = ""
    while follow:
        with open(server.log, "rb") as file:
            file.seek(at)
            fresh = file.read()
        at += len(fresh)
        *lines, rest = (rest + fresh.decode(errors="replace")).split("\n")
        yield from lines
        if not fresh and processes.state(server) == STOPPED:
            return
        time.sleep(0.2)
