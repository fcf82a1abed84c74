"""The servers that are measured: kops' own and Apache's, each started from plain .properties files on loopback."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.client import metadata

REPOSITORY = Path(__file__).resolve().parent.parent
COMPILED = REPOSITORY / ".venv" / "compiled"
"""Where scripts/compile puts kops as its users get it."""
KOPS = COMPILED if (COMPILED / ".of").exists() else REPOSITORY
JARS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kops-interop" / "kafka-3.9.1" / "libs"


def _die_with_parent() -> None:
    """A bench that is killed leaves no servers behind (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """ZooKeeper and n brokers of one engine. ``ready_seconds``: from the first exec until all are in the metadata.

    ``topics``: those that the present row made, to be deleted after it.
    """

    def __init__(self, engine: str, brokers: int, **settings: str) -> None:
        self.engine, self.size, self.settings = engine, brokers, settings
        self.folder = Path(tempfile.mkdtemp(prefix=f"kops-bench-{engine}-"))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.zookeeper_port = free_port()
        self.ports = [free_port() for _ in range(brokers)]
        self.ready_seconds = 0.0
        self.topics: list[str] = []

    @property
    def port(self) -> int:
        return self.ports[0]

    async def start(self) -> None:
        began = time.perf_counter()
        self._spawn("zookeeper", self._zookeeper_file())
        if self.engine == "apache":
            await self._listening(self.zookeeper_port)
        for broker in range(self.size):
            self._spawn(f"broker-{broker}", self._broker_file(broker))
        await self.wait_for_brokers(self.size)
        self.ready_seconds = time.perf_counter() - began

    async def wait_for_brokers(self, count: int, seconds: float = 90) -> None:
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            try:
                views = [await metadata(port) for port in self.ports[:count]]
                if all(len(v.brokers) == count and v.controller_id >= 0 for v in views):
                    return
            except OSError:
                pass
            await asyncio.sleep(0.01)
        raise TimeoutError(f"{self.engine}: {count} brokers were not ready within {seconds} s; logs in {self.folder}")

    def kill(self, broker: int, how: signal.Signals) -> None:
        self.processes[f"broker-{broker}"].send_signal(how)

    def start_broker(self, broker: int) -> None:
        self._spawn(f"broker-{broker}", self.folder / f"server-{broker}.properties")

    def memory_mb(self) -> float:
        """Resident memory of all processes and their children, MB."""
        total = 0
        for process in self.processes.values():
            if process.poll() is None:
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                total += sum(member.memory_info().rss for member in family)
        return total / 1e6

    def cpu_seconds(self, broker: int = 0) -> float:
        times = psutil.Process(self.processes[f"broker-{broker}"].pid).cpu_times()
        return float(times.user + times.system)

    def stop(self) -> None:
        """End what was started here, and only that; without ceremony, as the data goes too."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
        for process in self.processes.values():
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _listening(self, port: int) -> None:
        for _ in range(3000):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.01)
        raise TimeoutError(f"{self.engine}: nothing listens on {port}; logs in {self.folder}")

    def _zookeeper_file(self) -> Path:
        path = self.folder / "zookeeper.properties"
        path.write_text(
            f"dataDir={self.folder}/zookeeper\nclientPort={self.zookeeper_port}\n"
            "clientPortAddress=127.0.0.1\nmaxClientCnxns=0\nadmin.enableServer=false\n"
        )
        return path

    def _broker_file(self, broker: int) -> Path:
        path = self.folder / f"server-{broker}.properties"
        settings = {
            "broker.id": str(broker),
            "listeners": f"PLAINTEXT://127.0.0.1:{self.ports[broker]}",
            "log.dirs": f"{self.folder}/logs-{broker}",
            "zookeeper.connect": f"127.0.0.1:{self.zookeeper_port}",
            "offsets.topic.replication.factor": str(min(3, self.size)),
            "group.initial.rebalance.delay.ms": "0",
            "log.segment.delete.delay.ms": "500",
            **{key.replace("_", "."): value for key, value in self.settings.items()},
        }
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path

    def _spawn(self, name: str, file: Path) -> None:
        with (self.folder / f"{name}.out").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self._command(name, file),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=self._environment(),
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def _command(self, name: str, file: Path) -> list[str]:
        zookeeper = name == "zookeeper"
        if self.engine == "kops":
            return [sys.executable, "-m", "broker.zookeeper" if zookeeper else "broker", str(file)]
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain" if zookeeper else "kafka.Kafka"
        heap = "-Xmx512m" if zookeeper else "-Xmx1g"
        flags = [heap, "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true"]
        return ["java", *flags, "-cp", f"{JARS}/*", main, str(file)]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(KOPS), "KAFKA_HEAP_OPTS": ""}
