"""ZooKeeper servers as processes on loopback: ours, and Debian's where Java is installed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.ports import free_port

_JARS = (
    "zookeeper zookeeper-jute slf4j-api slf4j-log4j12 log4j-1.2 netty-all netty-buffer netty-codec netty-common "
    "netty-handler netty-resolver netty-transport netty-transport-native-epoll netty-transport-native-unix-common "
    "metrics-core snappy-java commons-cli commons-io jetty9-server jetty9-servlet jetty9-util jetty9-http jetty9-io "
    "jetty9-security jackson-core jackson-databind jackson-annotations jline findbugs-annotations servlet-api"
)
REPOSITORY = Path(__file__).parents[2]


def debian_installed() -> bool:
    return Path("/usr/bin/java").exists() and Path("/usr/share/java/zookeeper.jar").exists()


class ZkServer:
    """``kind``: "kops" or "debian". The port stays the same over restarts."""

    def __init__(self, kind: str, directory: Path, tick_ms: int = 500) -> None:
        self.kind = kind
        self.directory = directory
        self.port = free_port()
        self.connect = f"127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.config = directory / "zoo.cfg"
        self.config.write_text(
            f"tickTime={tick_ms}\ndataDir={directory / 'data'}\nclientPort={self.port}\n"
            "clientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\n"
        )

    def command(self) -> list[str]:
        if self.kind == "kops":
            return [sys.executable, "-m", "broker.zookeeper", str(self.config)]
        (self.directory / "log4j.properties").write_text("log4j.rootLogger=WARN\n")
        return [
            *("/usr/bin/java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            f"-Dlog4j.configuration=file:{self.directory / 'log4j.properties'}",
            *("-Dzookeeper.jmx.log4j.disable=true", "-Djava.net.preferIPv4Stack=true"),
            *("-cp", ":".join(f"/usr/share/java/{jar}.jar" for jar in _JARS.split())),
            *("org.apache.zookeeper.server.quorum.QuorumPeerMain", str(self.config)),
        ]

    def start(self) -> None:
        with open(self.directory / "out.log", "ab") as out:
            self.process = subprocess.Popen(self.command(), stdout=out, stderr=out, cwd=REPOSITORY)
        deadline = time.monotonic() + 20
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind} did not start: {(self.directory / 'out.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"srvr")
                return b"Mode" in connection.recv(4096)
        except OSError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)
