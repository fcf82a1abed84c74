"""ZooKeeper servers as processes of their own, ours and Apache's, on free ports of loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.ports import free_port

_JARS = """
zookeeper zookeeper-jute slf4j-api slf4j-simple log4j-1.2 netty-all netty-buffer netty-codec netty-common netty-handler
netty-resolver netty-transport metrics-core snappy-java commons-cli commons-io jackson-core jackson-databind jline
findbugs-annotations
"""
_ROOT = Path(__file__).resolve().parents[2]


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def missing_for_apache() -> str | None:
    """Why Apache's ZooKeeper cannot run here; None if it can."""
    if shutil.which("java") is None:
        return "java is not installed"
    return None if Path("/usr/share/java/zookeeper.jar").exists() else "/usr/share/java/zookeeper.jar is missing"


class Process:
    """A running server; the data directory outlives it."""

    def __init__(self, directory: Path, *settings: str, apache: bool = False, arguments: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.port = free_port()
        self.config = directory / "zoo.cfg"
        self.log = directory / "server.out"
        base = [f"dataDir={directory / 'data'}", f"clientPort={self.port}", "clientPortAddress=127.0.0.1"]
        self.config.write_text("\n".join([*base, "tickTime=500", "4lw.commands.whitelist=*", *settings]) + "\n")
        java = ["java", "-Dzookeeper.admin.enableServer=false", "-cp", _classpath()]
        ours = [sys.executable, "-m", "broker.zookeeper"]
        command = [*java, "org.apache.zookeeper.server.ZooKeeperServerMain"] if apache else ours
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, str(self.config), *arguments], cwd=_ROOT, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wait_ready(self) -> Process:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.log.read_text()}")
            try:
                return self.word("ruok") == "imok"
            except OSError:
                return False

        wait_until(ready, f"ruok at {self.port}")
        return self

    def word(self, word: str) -> str:
        with socket.create_connection(("127.0.0.1", self.port), 5) as line:
            line.sendall(word.encode())
            text = b""
            while part := line.recv(65536):
                text += part
            return text.decode()

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(15)

    def __enter__(self) -> Process:
        return self.wait_ready()

    def __exit__(self, *ignored: object) -> None:
        if self.process.poll() is None:
            self.stop()


def _classpath() -> str:
    return os.pathsep.join(f"/usr/share/java/{jar}.jar" for jar in _JARS.split())
