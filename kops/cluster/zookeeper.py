"""ZooKeeper's tree, read and changed by hand (org.apache.zookeeper.ZooKeeperMain), and four-letter words.

A brief connection of its own per command; nothing is watched but where a watch is asked for.
"""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kops.errors import BadUsage, Unreachable, not_found
from kops.listeners import Listener, answering, split_address

if TYPE_CHECKING:
    from kazoo.client import KazooClient


@dataclass(frozen=True, slots=True)
class Znode:
    """A znode: its path, data (None: never given any) and stat as ZooKeeper's zkCli shows it."""

    path: str
    data: bytes | None
    czxid: int
    mzxid: int
    pzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    children: int

    @property
    def text(self) -> str:
        """Data as text; what is not UTF-8 as ``0x...``."""
        try:
            return (self.data or b"").decode()
        except UnicodeDecodeError:
            return "0x" + (self.data or b"").hex()


def check_path(path: str) -> str:
    """Raises BadUsage for what ZooKeeper would refuse as a path."""
    if not path.startswith("/"):
        raise BadUsage(f"'{path}' is not a path", "Paths begin with a slash: /brokers/ids.")
    return path if path == "/" else path.rstrip("/")


def children(client: "KazooClient", path: str) -> list[str]:
    """Names of the children in order. Raises NotFound proposing the nearest sibling."""
    return sorted(_or_not_found(client, path, lambda: client.get_children(path)))


def tree(client: "KazooClient", path: str) -> list[str]:
    """The path and everything below it, depth first. A node that vanishes meanwhile is left out."""
    from kazoo.exceptions import NoNodeError

    found = [path]
    try:
        names = sorted(client.get_children(path))
    except NoNodeError:
        return []
    for name in names:
        found.extend(tree(client, path.rstrip("/") + "/" + name))
    return found


def get(client: "KazooClient", path: str) -> Znode:
    """Data and stat. Raises NotFound."""
    data, stat = _or_not_found(client, path, lambda: client.get(path))
    return _znode(path, data, stat)


def write(client: "KazooClient", path: str, data: bytes, version: int = -1) -> Znode:
    """Set the data when ``version`` is still the one given (-1: any). Raises NotFound, BadVersionError."""
    _or_not_found(client, path, lambda: client.set(path, data, version))
    return get(client, path)


def create(
    client: "KazooClient",
    path: str,
    data: bytes | None,
    *,
    ephemeral: bool = False,
    sequence: bool = False,
    parents: bool = False,
) -> str:
    """Make a znode; its path, with the number that a sequential one was given. Raises NodeExistsError, NotFound."""
    from kazoo.exceptions import NoNodeError

    try:
        made = client.create(path, data or b"", ephemeral=ephemeral, sequence=sequence, makepath=parents)
    except NoNodeError as error:
        parent = path.rpartition("/")[0] or "/"
        raise not_found("znode", parent, (), "Create it first, or say --parents.") from error
    return str(made)


def delete(client: "KazooClient", path: str, version: int = -1, *, recursive: bool = False) -> int:
    """Delete a znode, with everything below it when ``recursive``; how many. Raises NotFound, NotEmptyError."""
    if not recursive:
        _or_not_found(client, path, lambda: client.delete(path, version))
        return 1
    doomed = tree(client, path)
    _or_not_found(client, path, lambda: client.delete(path, recursive=True))
    return len(doomed)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a watch told: ``at`` wall milliseconds, ``what`` is created, deleted, changed or child."""

    at: int
    path: str
    what: str
    value: str


def watch(client: "KazooClient", path: str, stop: Callable[[], bool] = lambda: False) -> Iterator[Seen]:
    """Every change of a znode and of the list of its children, as ZooKeeper pushes it, until ``stop``."""
    from queue import Empty, SimpleQueue

    rung: SimpleQueue[str] = SimpleQueue()

    def ring(event: Any) -> None:
        rung.put(str(event.type).lower())

    _, names = _look(client, path, ring)
    while not stop():
        try:
            kind = rung.get(timeout=0.2)
        except Empty:
            continue
        at = time.time_ns() // 1_000_000
        now_data, now_names = _look(client, path, ring)
        if kind == "child" and now_names is not None:
            added, gone = set(now_names) - set(names or []), set(names or []) - set(now_names)
            value = " ".join([*(f"+{one}" for one in sorted(added)), *(f"-{one}" for one in sorted(gone))])
        else:
            value = (now_data or b"").decode(errors="replace")
        yield Seen(at, path, kind, value)
        names = now_names


def _look(client: "KazooClient", path: str, ring: Callable[[Any], None]) -> tuple[bytes | None, list[str] | None]:
    from kazoo.exceptions import NoNodeError

    try:
        data, _ = client.get(path, watch=ring)
        return data, sorted(client.get_children(path, watch=ring))
    except NoNodeError:
        client.exists(path, watch=ring)
        return None, None


def four_letter_word(server: str, word: str, timeout: float = 5.0) -> str:
    """The answer to ``srvr``, ``ruok``, ``mntr``... Raises Unreachable."""
    host, port = split_address(server, default_port=2181)
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(word.encode())
            chunks = []
            while chunk := connection.recv(65536):
                chunks.append(chunk)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Unreachable(f"no ZooKeeper answers at {server}: {reason}", "Is it started? `kops status`.") from error
    return b"".join(chunks).decode(errors="replace")


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What ``srvr`` says of a ZooKeeper server."""

    server: str
    mode: str
    version: str
    zxid: str
    nodes: int
    connections: int
    latency: str


def status(server: str) -> ServerStatus:
    """Raises Unreachable; Unreachable too when the answer is not one of a serving server."""
    answer = four_letter_word(server, "srvr")
    fields = dict(line.partition(": ")[::2] for line in answer.splitlines() if ": " in line)
    if "Mode" not in fields:
        answering([server], Listener.ZOOKEEPER)
        said = answer.strip().splitlines()[0] if answer.strip() else "nothing"
        raise Unreachable(f"{server} is not serving: it says {said!r}", "srvr must be in 4lw.commands.whitelist.")
    return ServerStatus(
        server=server,
        mode=fields["Mode"],
        version=fields.get("Zookeeper version", "").partition(",")[0].partition("-")[0],
        zxid=fields.get("Zxid", ""),
        nodes=int(fields.get("Node count", "0")),
        connections=int(fields.get("Connections", "0")),
        latency=fields.get("Latency min/avg/max", ""),
    )


def _or_not_found(client: "KazooClient", path: str, ask: Callable[[], Any]) -> Any:
    """What ``ask`` returns; NotFound with the nearest sibling when there is no such znode."""
    from kazoo.exceptions import NoNodeError

    try:
        return ask()
    except NoNodeError as error:
        parent = path.rpartition("/")[0]
        try:
            siblings = client.get_children(parent or "/")
        except NoNodeError:
            siblings = []
        known = [f"{parent}/{sibling}" for sibling in siblings]
        raise not_found("znode", path, known, f"`kops zookeeper ls {parent or '/'}` shows its siblings.") from error


def _znode(path: str, data: bytes | None, stat: Any) -> Znode:
    return Znode(
        path=path,
        data=data,
        czxid=stat.czxid,
        mzxid=stat.mzxid,
        pzxid=stat.pzxid,
        ctime=stat.ctime,
        mtime=stat.mtime,
        version=stat.version,
        cversion=stat.cversion,
        aversion=stat.aversion,
        ephemeral_owner=stat.ephemeralOwner,
        data_length=stat.dataLength,
        children=stat.numChildren,
    )
