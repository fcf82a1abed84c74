"""The clients that are programs: kcat, and Java's console producer and consumer of Apache Kafka 3.9."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.clients.drivers import SECONDS
from tests.interop.apache import Apache

KAFKA = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kops-interop" / "kafka-3.9.1"


def fed(words: Sequence[str], values: Iterator[bytes]) -> None:
    """Run a producer and type a line per value; it must end well, within a minute of the last one."""
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as producer:
        assert producer.stdin is not None
        try:
            for value in values:
                producer.stdin.write(value + b"\n")
                producer.stdin.flush()
            said, _ = producer.communicate(timeout=SECONDS)
        except BaseException:
            producer.kill()
            raise
    assert producer.returncode == 0, said.decode()


class Kcat:
    """It has no verbs for topics: ``topics`` alone, of what a Driver does to them."""

    def missing(self) -> str | None:
        """Why it cannot run here."""
        return None if shutil.which("kcat") else "kcat is not installed"

    def run(self, *words: str, given: bytes = b"") -> bytes:
        """Its standard output."""
        done = subprocess.run(("kcat", *words), input=given, capture_output=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def produce(self, servers: str, topic: str, values: Iterator[bytes], codec: str | None = None) -> None:
        to = ("kcat", "-P", "-b", servers, "-t", topic, "-p", "0", "-z", codec or "none")
        settings = {
            "acks": "all",
            "enable.idempotence": "true",
            "retry.backoff.ms": "50",
            "message.timeout.ms": str(SECONDS * 1000),
            "topic.metadata.refresh.interval.ms": "1000",
        }
        fed([*to, *(word for key, value in settings.items() for word in ("-X", f"{key}={value}"))], values)

    def read(self, servers: str, topic: str, count: int) -> list[bytes]:
        said = self.run("-C", "-b", servers, "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q")
        return said.splitlines()


class Java:
    """Apache's own command-line tools, a JVM for each call."""

    def missing(self) -> str | None:
        """Why it cannot run here."""
        if shutil.which("java") is None:
            return "no java on this machine"
        if not any(KAFKA.glob("libs/kafka_2.13-*.jar")):
            return f"no jars in {KAFKA}/libs: scripts/interop-setup brings them"
        return None

    @property
    def apache(self) -> Apache:
        return Apache(shutil.which("java") or "java", KAFKA)

    def _topics(self, servers: str, *words: str) -> str:
        return self.apache.run("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", servers, *words)

    def create(self, servers: str, topic: str, replicas: int) -> None:
        shape = ("--partitions", "1", "--replication-factor", str(replicas))
        assert f"Created topic {topic}." in self._topics(servers, "--create", "--topic", topic, *shape)

    def delete(self, servers: str, topic: str) -> None:
        self._topics(servers, "--delete", "--topic", topic)

    def topics(self, servers: str) -> set[str]:
        return set(self._topics(servers, "--list").split())

    def produce(self, servers: str, topic: str, values: Iterator[bytes], codec: str | None = None) -> None:
        settings = {
            "acks": "all",
            "enable.idempotence": "true",
            "linger.ms": "5",
            "request.timeout.ms": "10000",
            "delivery.timeout.ms": str(SECONDS * 1000),
            "retries": "2147483647",  # the tool's own default is 3
            "retry.backoff.ms": "50",
            "metadata.max.age.ms": "1000",
        }
        given = [word for key, value in settings.items() for word in ("--producer-property", f"{key}={value}")]
        to = ("--bootstrap-server", servers, "--topic", topic, "--compression-codec", codec or "none")
        fed(self.apache.words("kafka.tools.ConsoleProducer", *to, *given), values)

    def read(self, servers: str, topic: str, count: int) -> list[bytes]:
        """With ``--partition``: it joins no group. It ends when nothing has come for three seconds."""
        whole = ("--topic", topic, "--partition", "0", "--offset", "earliest", "--timeout-ms", "3000")
        main = "org.apache.kafka.tools.consumer.ConsoleConsumer"
        return self.apache.run(main, "--bootstrap-server", servers, *whole).encode().splitlines()


PROGRAMS: dict[str, Kcat | Java] = {"kcat": Kcat(), "java": Java()}
