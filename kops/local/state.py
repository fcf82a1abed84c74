"""What kops remembers of the servers it started: one JSON file each under ``$XDG_STATE_HOME/kops/servers``."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

BROKER, ZOOKEEPER = "broker", "zookeeper"
BUNDLED, APACHE = "bundled", "apache"
_IDENTITY = ("broker.id", "log.dirs", "log.dir", "dataDir")


def state_dir() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "kops"


@dataclass(frozen=True, slots=True)
class Server:
    """A server by the properties file it was started with. ``pid`` and ``started`` (epoch seconds) name its process."""

    kind: str
    file: str
    address: str
    log: str
    id: int = -1
    pid: int = 0
    started: float = 0.0
    cluster: str | None = None
    engine: str = BUNDLED
    kafka_home: str | None = None
    overrides: tuple[str, ...] = field(default_factory=tuple)
    folder: str = field(default_factory=os.getcwd)
    """Where it was started: relative paths in its file begin there, also when it is started again from elsewhere."""
    dismissed: bool = False
    """Its process was told to stop: nobody misses it."""

    @property
    def name(self) -> str:
        """``broker 1`` or ``zookeeper``, as messages call it."""
        return f"broker {self.id}" if self.kind == BROKER else "zookeeper"

    @property
    def key(self) -> str:
        """One file may start several servers, told apart by what overrides say of id and directories."""
        apart = sorted(each for each in self.overrides if each.partition("=")[0].strip() in _IDENTITY)
        named = "\0".join([self.file, *apart])
        return f"{self.kind}-{hashlib.sha256(named.encode()).hexdigest()[:12]}"


def remember(server: Server) -> None:
    folder = state_dir() / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{server.key}.{os.getpid()}"
    fresh.write_text(json.dumps(asdict(server), indent=1), encoding="utf-8")
    fresh.replace(folder / f"{server.key}.json")


def forget(server: Server) -> None:
    (state_dir() / "servers" / f"{server.key}.json").unlink(missing_ok=True)


def servers(cluster: str | None = None) -> list[Server]:
    """Every server that is remembered (of ``cluster`` when named): ZooKeeper first, then brokers by id."""
    folder = state_dir() / "servers"
    found = [_read(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []
    known = [server for server in found if server and (cluster is None or server.cluster == cluster)]
    return sorted(known, key=lambda server: (server.cluster or "~", server.kind != ZOOKEEPER, server.id, server.file))


def drop_stale(known: Sequence[Server]) -> None:
    """Forget servers that are stopped (``known``) and whose file is gone: nothing can start them again."""
    for server in known:
        if not os.path.exists(server.file):
            forget(server)


def _read(path: Path) -> Server | None:
    """None for a file of another version of kops, or one that vanished meanwhile."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        overrides: Sequence[str] = content.pop("overrides", ())
        return Server(**content, overrides=tuple(overrides))
    except (OSError, ValueError, TypeError):
        return None
