"""Whole clusters on this machine: ``kops up``, ``status``, ``down``.

A cluster is a folder ``$XDG_STATE_HOME/kops/clusters/NAME`` with ``config`` (plain properties), ``data``, ``logs``.
"""

import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kops import contexts
from kops.cluster.metadata import on_every_broker, snapshot, wait_until
from kops.contexts import Context
from kops.errors import BadUsage, Failed, KopsError, NotFound, Refused, not_found
from kops.local import ports, processes, servers, state
from kops.local.examples import example
from kops.local.processes import STOPPED
from kops.local.state import BROKER, BUNDLED, ZOOKEEPER, Server
from kops.session import Session
from kops.words import counted

Narrate = Callable[[str], None]
FIRST_PORTS = {ZOOKEEPER: 2181, BROKER: 9092}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of this machine and its servers, ZooKeeper first."""

    name: str
    servers: tuple[Server, ...]

    @property
    def brokers(self) -> list[Server]:
        return [server for server in self.servers if server.kind == BROKER]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(server.address for server in self.brokers)

    @property
    def zookeeper(self) -> str:
        return next(server.address for server in self.servers if server.kind == ZOOKEEPER)

    @property
    def running(self) -> list[Server]:
        return [server for server in self.servers if processes.state(server) != STOPPED]

    @property
    def context(self) -> Context:
        return Context(self.name, self.bootstrap_servers, self.zookeeper, cluster=self.name)


def folder(name: str) -> Path:
    return state.state_dir() / "clusters" / name


def names() -> list[str]:
    root = state.state_dir() / "clusters"
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []


def cluster(name: str) -> Cluster:
    """Raises NotFound."""
    known = state.servers(name)
    if not known:
        raise not_found("cluster", name, names(), "`kops up` makes one.")
    return Cluster(name, tuple(known))


def up(
    name: str, brokers: int | None, timeout: float, say: Narrate, engine: str = BUNDLED, kafka_home: str | None = None
) -> tuple[Cluster, bool]:
    """Start a cluster, making it first when it is new; whether anything had to be started.

    Returns when a controller is elected and every broker knows every broker. Raises Failed, Refused.
    """
    if not re.fullmatch(r"[a-zA-Z0-9._-]{1,64}", name):
        raise BadUsage(f"'{name}' cannot be the name of a cluster", "Letters, digits, '.', '_' and '-'.")
    wanted = _described(name, brokers, engine, kafka_home)
    missing = [server for server in wanted.servers if processes.state(server) == STOPPED]
    if not missing:
        return wanted, False
    for kind in (ZOOKEEPER, BROKER):
        _start_all([server for server in missing if server.kind == kind], timeout, say)
    ready = cluster(name)
    with Session(ready.context, timeout) as session:
        wait_until(session, lambda: _incomplete(session, ready), timeout)
    contexts.put(ready.context, make_current=True)
    return ready, True


def _start_all(missing: Sequence[Server], timeout: float, say: Narrate) -> None:
    """Start all, then wait for each: brokers take their time side by side."""
    begun = []
    for server in missing:
        say(f"starting {server.name} at {server.address}")
        pid, started = processes.spawn(server)
        begun.append(replace(server, pid=pid, started=started, dismissed=False))
        state.remember(begun[-1])
    for server in begun:
        servers.wait_ready(server, timeout)


def _incomplete(session: Session, ready: Cluster) -> str | None:
    ids = {server.id for server in ready.brokers}
    if snapshot(session, []).controller < 0:
        return "no controller is elected yet"
    for broker, view in on_every_broker(session, []).items():
        known = {one.id for one in view.brokers} if view else set()
        if not ids <= known:
            return f"broker {broker} does not know broker {min(ids - known)} yet"
    return None


def _described(name: str, brokers: int | None, engine: str, kafka_home: str | None) -> Cluster:
    """The cluster as its files say; missing files are written. Raises Refused for fewer brokers than it has."""
    known = state.servers(name)
    have = sum(server.kind == BROKER for server in known)
    wanted = brokers if brokers is not None else have or 3
    if wanted < 1:
        raise BadUsage("a cluster has at least one broker", "For example `kops up -n 3`.")
    if wanted < have:
        raise Refused(
            f"cluster {name} has {counted(have, 'broker')}, {wanted} would be fewer",
            "`kops down --wipe` first, or stop some: `kops broker stop ID`.",
        )
    if wanted > have:
        _write_files(name, known, wanted, engine, kafka_home)
    return cluster(name)


def _write_files(name: str, known: Sequence[Server], wanted: int, engine: str, kafka_home: str | None) -> None:
    """Properties files for ZooKeeper, unless it has one, and for the brokers up to number ``wanted``."""
    root = folder(name)
    (root / "config").mkdir(parents=True, exist_ok=True)
    taken = {int(server.address.rpartition(":")[2]) for server in state.servers()}
    keeper = next((server.address for server in known if server.kind == ZOOKEEPER), None)
    if keeper is None:
        keeper = f"{ports.HOST}:{ports.choose(FIRST_PORTS[ZOOKEEPER], 1, taken)[0]}"
        path = root / "config" / "zookeeper.properties"
        values = {"dataDir": str(root / "data" / "zookeeper"), "clientPort": keeper.rpartition(":")[2]}
        path.write_text(example("zookeeper.properties", values), encoding="utf-8")
        _remember(name, servers.zookeeper_of(str(path), (), engine, kafka_home))
    taken.add(int(keeper.rpartition(":")[2]))
    have = sum(server.kind == BROKER for server in known)
    for offset, port in enumerate(ports.choose(FIRST_PORTS[BROKER], wanted - have, taken)):
        broker = have + offset + 1
        path = root / "config" / f"server-{broker}.properties"
        values = _broker_values(root, broker, port, keeper, wanted)
        path.write_text(example("server.properties", values), encoding="utf-8")
        _remember(name, servers.broker_of(str(path), (), engine, kafka_home))


def _broker_values(root: Path, broker: int, port: int, keeper: str, count: int) -> dict[str, str]:
    copies = str(min(3, count))
    return {
        "broker.id": str(broker),
        "listeners": f"PLAINTEXT://{ports.HOST}:{port}",
        "log.dirs": str(root / "data" / f"broker-{broker}"),
        "zookeeper.connect": keeper,
        "default.replication.factor": copies,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": str(min(2, count)),
    }


def _remember(name: str, server: Server) -> None:
    log = str(folder(name) / "logs" / f"{Path(server.file).stem}.log")
    state.remember(replace(server, cluster=name, log=log))


def down(name: str, timeout: float, say: Narrate, *, wipe: bool = False) -> Cluster:
    """Stop brokers, the controller last, then ZooKeeper; with ``wipe`` remove it all. Raises NotFound, Failed."""
    known = cluster(name)
    running = known.running
    controller = _controller(known)
    order = sorted(running, key=lambda server: (server.kind == ZOOKEEPER, server.id == controller))
    for server in order:
        seconds = servers.stop(server, timeout)
        say(f"stopped {server.name} in {seconds:.1f} s")
    if wipe:
        _wipe(known, say)
    return known


def _controller(known: Cluster) -> int:
    """So that leaderships are handed over by one controller; -1 when nobody can say."""
    try:
        with Session(known.context, 2.0) as session:
            return snapshot(session, []).controller
    except (KopsError, Exception):  # noqa: BLE001 - the order of stopping is a courtesy
        return -1


def _wipe(known: Cluster, say: Narrate) -> None:
    """Remove the folder of a cluster that is stopped. Raises Failed while something of it runs."""
    if known.running:
        raise Failed(f"{known.running[0].name} of cluster {known.name} still runs", "Stop it first.")
    root = folder(known.name)
    shutil.rmtree(root, ignore_errors=True)
    for server in known.servers:
        state.forget(server)
    with suppress(NotFound):
        contexts.remove(known.name)
    say(f"removed {root}")
