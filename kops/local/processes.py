"""Processes of this machine: started in the background, proved to be ours, signalled one by one."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kops.errors import NotFound, Refused
from kops.local.state import APACHE, BROKER, Server

if TYPE_CHECKING:
    import psutil

RUNNING, PAUSED, STOPPED = "running", "paused", "stopped"
_BEGINNING = "=== kops starts"
"""Begins the line that parts what a server says from what it said before it was started again."""


def command_line(server: Server) -> list[str]:
    """The words that start a server; its file's name stays visible in ``ps``. Raises NotFound without Java or jars."""
    overrides = [word for override in server.overrides for word in ("--override", override)]
    if server.engine == APACHE:
        return [*_java(server.kafka_home), *_apache_class(server), server.file, *overrides]
    module = "broker" if server.kind == BROKER else "broker.zookeeper"
    # -P: a file broker.py where the user happens to stand is not ours
    return [sys.executable, "-P", "-m", module, server.file, *overrides]


def _java(kafka_home: str | None) -> list[str]:
    from shutil import which

    java, jars = which("java"), Path(kafka_home or "") / "libs"
    if java is None:
        raise NotFound("there is no java on this machine", "Install one, or leave out --engine apache.")
    if kafka_home is None or not any(jars.glob("kafka_2*.jar")):
        raise NotFound(f"there is no Apache Kafka in {kafka_home}", "--kafka-home DIR must have libs/kafka_2.13-*.jar.")
    logging = Path(kafka_home) / "log4j.properties"
    words = [java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    words += [f"-Dlog4j.configuration=file:{logging}"] if logging.is_file() else []
    return [*words, "-cp", f"{jars}/*"]


def _apache_class(server: Server) -> list[str]:
    return ["kafka.Kafka"] if server.kind == BROKER else ["org.apache.zookeeper.server.quorum.QuorumPeerMain"]


def spawn(server: Server) -> tuple[int, float]:
    """Start in the background, in a session of its own, writing to its log. Its pid and time of start."""
    import psutil

    Path(server.log).parent.mkdir(parents=True, exist_ok=True)
    with open(server.log, "ab") as sink:
        sink.write(f"{_BEGINNING} {server.name}\n".encode())
        sink.flush()
        process = subprocess.Popen(
            command_line(server),
            cwd=server.folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.returncode = 0  # it outlives us: nobody waits for it, and nobody is to be warned of that
    try:
        return process.pid, float(psutil.Process(process.pid).create_time())
    except psutil.NoSuchProcess:
        return process.pid, 0.0


def state(server: Server) -> str:
    """``running``, ``paused`` (SIGSTOP) or ``stopped``; a pid that meanwhile is another process's is ``stopped``."""
    import psutil

    process = _process(server)
    if process is None:
        return STOPPED
    try:
        status = process.status()
    except psutil.NoSuchProcess:
        return STOPPED
    if status == psutil.STATUS_ZOMBIE:
        _reap(server.pid)
        return STOPPED
    return PAUSED if status == psutil.STATUS_STOPPED else RUNNING


def ended_by_itself(server: Server) -> bool:
    """Whether it is stopped though nobody stopped it; of one on a terminal nobody can say."""
    return bool(server.pid and server.log) and not server.dismissed and state(server) == STOPPED


def _reap(pid: int) -> None:
    """Let a child that ended go; whose child it is not cannot be said beforehand."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def memory(server: Server) -> int:
    """Resident bytes; 0 when it does not run."""
    import psutil

    process = _process(server)
    try:
        return int(process.memory_info().rss) if process is not None else 0
    except psutil.Error:
        return 0


def send(server: Server, number: signal.Signals) -> None:
    """Signal exactly the process that was started. Raises Refused when it does not run."""
    process = _process(server)
    if process is None or state(server) == STOPPED:
        raise Refused(f"{server.name} is not running", "`kops status` shows what is.", subject=server.name)
    os.kill(process.pid, number)


def wait_gone(server: Server, timeout: float) -> bool:
    """Whether its process ended within ``timeout`` seconds."""
    return wait_state(server, timeout, STOPPED)


def wait_state(server: Server, timeout: float, *wanted: str) -> bool:
    """Whether it came into a ``wanted`` state within ``timeout`` seconds: signals take effect a moment later."""
    deadline = time.monotonic() + timeout
    while state(server) not in wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _process(server: Server) -> "psutil.Process | None":
    import psutil

    if not server.pid:
        return None
    try:
        process = psutil.Process(server.pid)
        # Linux derives the time of start from the boot time, which is adjusted by fractions of a second.
        return process if abs(process.create_time() - server.started) < 1.5 else None
    except psutil.Error:
        return None


def listens(server: Server) -> bool:
    """Whether it is this process that listens on the server's port, not another one. True where that cannot be seen."""
    import psutil

    port = int(server.address.rpartition(":")[2])
    try:
        sockets = psutil.Process(server.pid).net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets)


def last_words(server: Server, lines: int) -> list[str]:
    """The last lines of its log, of those since it was last started."""
    said = [line.strip() for line in tail(server.log, lines) if line.strip()]
    begins = max((at + 1 for at, line in enumerate(said) if line.startswith(_BEGINNING)), default=0)
    return said[begins:]


def tail(path: str, lines: int) -> list[str]:
    """The last lines of a log; none when there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 400 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []
