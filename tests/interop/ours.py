"""Our servers on the settings of Apache's: the same cluster, so that a story can be told twice and compared."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.interop.apache import BROKER, ZOOKEEPER, Apache, Cluster

MODULES = {BROKER: "broker", ZOOKEEPER: "broker.zookeeper"}


class Ours(Cluster):
    """Starts our broker and our ZooKeeper wherever ``Cluster`` starts Apache's."""

    def spawn(self, name: str, main: str, lines: Sequence[str]) -> None:
        file = self.folder / f"{name}.properties"
        file.write_text("\n".join(lines) + "\n")
        with open(self.log(name), "ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", MODULES[main], str(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


@contextmanager
def stopped_after(cluster: Cluster) -> Iterator[Cluster]:
    """Its processes end with the block, whatever happens."""
    cluster.folder.mkdir(parents=True, exist_ok=True)
    try:
        yield cluster
    finally:
        cluster.stop()


def both(apache: Apache, folder: Path) -> tuple[Cluster, Cluster]:
    """One cluster of Apache's and one of ours, neither of them started."""
    return Cluster(apache, folder / "apache"), Ours(apache, folder / "ours")
