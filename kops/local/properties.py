"""What kops needs to know of a server's properties file: who it is, where it listens, where its data are."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kops.errors import BadUsage, NotFound


@dataclass(frozen=True, slots=True)
class BrokerFile:
    """Of a ``server.properties``. ``address``: where to reach it from this machine; ``id`` -1: it picks one itself."""

    path: str
    id: int
    address: str
    log_dirs: tuple[str, ...]
    zookeeper: str
    binds_everywhere: bool


@dataclass(frozen=True, slots=True)
class ZooKeeperFile:
    """Of a ``zookeeper.properties`` or ``zoo.cfg``."""

    path: str
    address: str
    data_dir: str


def read(path: str, overrides: Sequence[str] = ()) -> dict[str, str]:
    """The settings of a file with overrides applied. Raises NotFound, BadUsage."""
    from broker.java_properties import BadEscape, parse_trimmed

    try:
        with open(path, encoding="latin-1") as file:
            settings = {entry.name: entry.text for entry in parse_trimmed(file.read())}
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", "`kops config init` writes commented examples.") from error
    except OSError as error:
        raise BadUsage(f"cannot read {path}: {(error.strerror or '').lower()}", "Name a properties file.") from error
    except BadEscape as error:
        raise BadUsage(f"{path}, line {error.line}: {error.text}", f"Write {BadEscape.WANTED}.") from error
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise BadUsage(f"--override {override}: not KEY=VALUE", "For example --override broker.id=2.")
        settings[key.strip()] = value.strip()
    return settings


def broker_file(path: str, overrides: Sequence[str] = ()) -> BrokerFile:
    """Raises NotFound, BadUsage for a file that is not a broker's."""
    settings = read(path, overrides)
    if "zookeeper.connect" not in settings:
        hint = " (it looks like ZooKeeper's)" if "clientPort" in settings else ""
        raise BadUsage(f"{path} has no zookeeper.connect{hint}", "A broker's file names its ZooKeeper.")
    host, port = _listener(settings.get("listeners", "PLAINTEXT://:9092"), path)
    return BrokerFile(
        path=os.path.abspath(path),
        id=_number(settings, "broker.id", -1, path),
        address=f"{_reachable(host)}:{port}",
        log_dirs=_log_dirs(settings),
        zookeeper=settings["zookeeper.connect"],
        binds_everywhere=host in ("", "0.0.0.0", "::"),
    )


def zookeeper_file(path: str, overrides: Sequence[str] = ()) -> ZooKeeperFile:
    """Raises NotFound, BadUsage for a file that is not ZooKeeper's."""
    settings = read(path, overrides)
    if "dataDir" not in settings:
        raise BadUsage(f"{path} has no dataDir", "A ZooKeeper's file says where its data are and its clientPort.")
    port = _number(settings, "clientPort", 2181, path)
    return ZooKeeperFile(
        path=os.path.abspath(path),
        address=f"{_reachable(settings.get('clientPortAddress', ''))}:{port}",
        data_dir=settings["dataDir"],
    )


def assigned_id(log_dirs: Sequence[str]) -> int:
    """The id that a broker wrote into its ``meta.properties``; -1 when there is none."""
    for folder in log_dirs:
        path = Path(folder) / "meta.properties"
        if path.is_file():
            return int(read(str(path)).get("broker.id", "-1"))
    return -1


def _listener(listeners: str, path: str) -> tuple[str, str]:
    """Host and port of the first listener."""
    first = listeners.split(",")[0].strip()
    address = first.partition("://")[2]
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit():
        raise BadUsage(
            f"{path}: listeners={listeners} is not NAME://host:port", "For example PLAINTEXT://127.0.0.1:9092."
        )
    return host.strip("[]"), port


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("", "0.0.0.0") else "[::1]" if host == "::" else f"[{host}]" if ":" in host else host


def _log_dirs(settings: Mapping[str, str]) -> tuple[str, ...]:
    text = settings.get("log.dirs") or settings.get("log.dir") or "/tmp/kafka-logs"
    return tuple(folder.strip() for folder in text.split(",") if folder.strip())


def _number(settings: Mapping[str, str], key: str, default: int, path: str) -> int:
    text = settings.get(key, str(default))
    try:
        return int(text)
    except ValueError as error:
        raise BadUsage(f"{path}: {key}={text} is not a number", "Correct it.") from error
