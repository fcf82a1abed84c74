"""Runs Apache's classes: a tool to its end, or a cluster of ZooKeeper and brokers for as long as a test lasts."""

import gc
import logging
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kafka.errors import KafkaError

from kops.cluster.metadata import snapshot
from kops.contexts import Context
from kops.errors import KopsError
from kops.session import Session
from tests.ports import free_port

ZOOKEEPER = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
BROKER = "kafka.Kafka"


@dataclass(frozen=True)
class Apache:
    """One version of Apache Kafka: ``home/libs`` holds its jars."""

    java: str
    home: Path

    def words(self, main: str, *arguments: str, heap: str = "300m") -> list[str]:
        options = [f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        options.append(f"-Dlog4j.configuration=file:{self.home}/log4j.properties")
        return [self.java, *options, "-cp", f"{self.home}/libs/*", main, *arguments]

    def run(self, main: str, *arguments: str, stdin: str = "", check: bool = True, timeout: float = 60) -> str:
        """A tool's standard output. Fails the test with what it said when it fails and ``check``."""
        words = self.words(main, *arguments)
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"{main} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def cluster(self, folder: Path, brokers: int) -> "Iterator[Cluster]":
        """A running cluster, ended when the block is left."""
        cluster = Cluster(self, folder)
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        try:
            cluster.start(brokers)
            collect_what_clients_left()
            yield cluster
        finally:
            cluster.stop()


@dataclass
class Cluster:
    """Apache servers on free ports of this machine, their files in ``folder``."""

    apache: Apache
    folder: Path
    zookeeper: str = ""
    addresses: list[str] = field(default_factory=list)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        return ",".join(self.addresses)

    @property
    def context(self) -> Context:
        return Context("apache", self.bootstrap, self.zookeeper)

    def start(self, brokers: int) -> None:
        port = free_port()
        self.zookeeper = f"127.0.0.1:{port}"
        lines = [f"dataDir={self.folder}/zookeeper", f"clientPort={port}", "clientPortAddress=127.0.0.1"]
        lines += ["tickTime=1000", "maxClientCnxns=0", "admin.enableServer=false"]
        self.spawn("zookeeper", ZOOKEEPER, lines)
        until(lambda: accepts(port), "ZooKeeper does not listen", self.log("zookeeper"))
        for broker in range(1, brokers + 1):
            port = free_port()
            self.addresses.append(f"127.0.0.1:{port}")
            self.spawn(f"broker-{broker}", BROKER, self.broker_lines(broker, port, brokers))
        until(lambda: self._up(brokers), "the brokers do not find each other", self.log("broker-1"), 120.0)

    def _up(self, brokers: int) -> bool:
        """Apache's broker gives up when its session expires while it starts, as on a loaded machine it does."""
        for broker in range(1, brokers + 1):
            if self.processes[f"broker-{broker}"].poll() is not None:
                self.restart(broker)
        return self.whole(brokers)

    def broker_lines(self, broker: int, port: int, brokers: int) -> list[str]:
        return [
            f"broker.id={broker}",
            f"listeners=PLAINTEXT://127.0.0.1:{port}",
            f"log.dirs={self.folder}/broker-{broker}",
            f"zookeeper.connect={self.zookeeper}",
            "zookeeper.session.timeout.ms=3000",
            f"offsets.topic.replication.factor={min(3, brokers)}",
            "offsets.topic.num.partitions=3",
            "group.initial.rebalance.delay.ms=0",
        ]

    def whole(self, brokers: int) -> bool:
        """Whether every broker knows every other and a controller is elected."""
        try:
            for address in self.addresses:
                with Session(Context(bootstrap_servers=address), 3.0) as session:
                    seen = snapshot(session, [])
                    if len(seen.brokers) != brokers or seen.controller < 0:
                        return False
        except (KopsError, KafkaError, OSError):
            return False
        return True

    def spawn(self, name: str, main: str, lines: Sequence[str]) -> None:
        file = self.folder / f"{name}.properties"
        file.write_text("\n".join(lines) + "\n")
        with open(self.log(name), "ab") as log:
            self.processes[name] = subprocess.Popen(
                self.apache.words(main, str(file)), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def kill(self, broker: int) -> None:
        process = self.processes.pop(f"broker-{broker}")
        process.kill()
        process.wait(10)

    def restart(self, broker: int) -> None:
        port = int(self.addresses[broker - 1].rpartition(":")[2])
        self.spawn(f"broker-{broker}", BROKER, self.broker_lines(broker, port, len(self.addresses)))

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.kill()
            process.wait(10)


def collect_what_clients_left() -> None:
    """kafka-python leaves the sockets of refused connections to the collector, which would warn of them later."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def until(holds: object, complaint: str, log: Path | None = None, timeout: float = 60.0) -> None:
    """Wait for a condition; fail with the end of a log."""
    deadline = time.monotonic() + timeout
    while not holds():  # type: ignore[operator]
        tail = log.read_text(errors="replace")[-2000:] if log and log.exists() else ""
        assert time.monotonic() < deadline, f"{complaint}\n{tail}"
        time.sleep(0.1)
