"""Apache Kafka and ZooKeeper themselves, from the jars that ``scripts/interop-setup`` brings.

Skipped, with the reason, where Java or the jars are missing. Every process is ended by its own id.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.apache import Apache, Cluster, collect_what_clients_left
from tests.interop.ours import Ours, stopped_after
from tests.interop.tools import Tools

JARS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kops-interop"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Java takes seconds to start, and kafka-python reads its messages through a deprecated API
    and leaves the sockets of refused connections to the garbage collector."""
    for item in items:
        if "tests/interop" in str(item.path):
            item.add_marker(pytest.mark.timeout(180))
            item.add_marker(pytest.mark.filterwarnings("ignore:.*_text is deprecated:DeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


def apache_of(version: str) -> Apache:
    """Skips where there is no Java, or no jars of that version."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("no java on this machine")
    home = JARS / f"kafka-{version}"
    if not any(home.glob("libs/kafka_2.13-*.jar")):
        pytest.skip(f"no jars in {home}/libs: scripts/interop-setup {version} brings them")
    return Apache(java, home)


@pytest.fixture(scope="session")
def kafka39() -> Apache:
    """Tools and servers of Apache Kafka 3.9."""
    return apache_of("3.9.1")


@pytest.fixture(scope="session")
def kafka26() -> Apache:
    """Tools and servers of Apache Kafka 2.6, whose topic command still goes through ZooKeeper."""
    return apache_of("2.6.3")


@pytest.fixture(scope="session")
def apache(kafka39: Apache, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """ZooKeeper and one broker of Apache Kafka 3.9."""
    with kafka39.cluster(tmp_path_factory.mktemp("apache"), brokers=1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def apache3(kafka39: Apache, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """ZooKeeper and three brokers of Apache Kafka 3.9."""
    with kafka39.cluster(tmp_path_factory.mktemp("apache3"), brokers=3) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def ours3(kafka39: Apache, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """ZooKeeper and three brokers of ours, with the settings of ``apache3``."""
    with stopped_after(Ours(kafka39, tmp_path_factory.mktemp("ours3"))) as cluster:
        cluster.start(3)
        collect_what_clients_left()
        yield cluster


@pytest.fixture(scope="session")
def tools39(kafka39: Apache) -> Iterator[Tools]:
    """The tools of Apache Kafka 3.9, in one JVM."""
    with Tools(kafka39) as tools:
        yield tools


@pytest.fixture(scope="session")
def tools26(kafka26: Apache) -> Iterator[Tools]:
    """The tools of Apache Kafka 2.6, in one JVM."""
    with Tools(kafka26) as tools:
        yield tools
