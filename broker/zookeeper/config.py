"""The settings of a ZooKeeper server, from zoo.cfg or zookeeper.properties (QuorumPeerConfig, ServerConfig).

Names are ZooKeeper's, with or without the prefix ``zookeeper.`` that they have as Java properties.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from broker.host import Files
from broker.java_properties import BadEscape, Entry, parse_trimmed


class ConfigError(Exception):
    """Settings that cannot be used; one line per mistake."""


@dataclass(frozen=True, slots=True)
class ZooKeeperConfig:
    """Times are in milliseconds; ``client_host`` None is every address; a limit of 0 is none."""

    data_dir: str = ""
    data_log_dir: str = ""
    client_port: int = 2181
    client_host: str | None = None
    tick_time: int = 3000
    min_session_timeout: int = -1
    max_session_timeout: int = -1
    max_client_cnxns: int = 60
    max_cnxns: int = 0
    backlog: int = 50
    whitelist: tuple[str, ...] = ("srvr",)
    snap_count: int = 100_000
    snap_retain_count: int = 3
    purge_interval: int = 0
    extended_types: bool = False
    super_digest: str | None = None
    enforce_quota: bool = False
    jute_maxbuffer: int = 0xFFFFF
    container_check_ms: int = 60_000
    source: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def snap_dir(self) -> str:
        return os.path.join(self.data_dir, "version-2")

    @property
    def log_dir(self) -> str:
        return os.path.join(self.data_log_dir or self.data_dir, "version-2")

    @property
    def min_timeout_ms(self) -> int:
        return self.min_session_timeout if self.min_session_timeout >= 0 else 2 * self.tick_time

    @property
    def max_timeout_ms(self) -> int:
        return self.max_session_timeout if self.max_session_timeout >= 0 else 20 * self.tick_time

    @classmethod
    def of(cls, settings: Mapping[str, str], source: str = "settings") -> ZooKeeperConfig:
        """From names and texts. Raises ConfigError."""
        return _build([Entry(name, text, None) for name, text in settings.items()], source)

    @classmethod
    def load(cls, files: Files, path: str, overrides: Iterable[str] = ()) -> ZooKeeperConfig:
        """From a file and ``name=value`` texts that win over it. Raises ConfigError naming every wrong line."""
        try:
            text = files.read(os.path.abspath(path)).decode("latin-1")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        try:
            entries = parse_trimmed(text)
        except BadEscape as error:
            raise ConfigError(f"{path}: {error}") from error
        for override in overrides:
            name, equals, value = override.partition("=")
            if not equals:
                raise ConfigError(f"--override {override}: write it as name=value")
            entries.append(Entry(name.strip(), value.strip(), None))
        return _build(entries, path)


class _Setting(NamedTuple):
    field: str
    allowed: str
    parse: Callable[[str], Any]


def _number(low: int, high: int) -> tuple[str, Callable[[str], int]]:
    def parse(text: str) -> int:
        value = int(text, 0) if text.lower().startswith("0x") else int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return f"a whole number from {low} to {high}", parse


def _boolean(text: str) -> bool:
    return {"true": True, "yes": True, "false": False, "no": False}[text.lower()]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _path(text: str) -> str:
    if not text:
        raise ValueError(text)
    return os.path.abspath(text)


_INT = 2**31 - 1
_PATH = "the path of a directory"
_BOOLEAN = "true or false"
_SETTINGS: dict[str, _Setting] = {
    "dataDir": _Setting("data_dir", _PATH, _path),
    "dataLogDir": _Setting("data_log_dir", _PATH, _path),
    "clientPort": _Setting("client_port", *_number(0, 65535)),
    "clientPortAddress": _Setting("client_host", "an address of this machine", lambda text: text or None),
    "clientPortListenBacklog": _Setting("backlog", *_number(-1, _INT)),
    "tickTime": _Setting("tick_time", *_number(1, _INT)),
    "minSessionTimeout": _Setting("min_session_timeout", *_number(-1, _INT)),
    "maxSessionTimeout": _Setting("max_session_timeout", *_number(-1, _INT)),
    "maxClientCnxns": _Setting("max_client_cnxns", *_number(0, _INT)),
    "maxCnxns": _Setting("max_cnxns", *_number(0, _INT)),
    "4lw.commands.whitelist": _Setting("whitelist", "four-letter words divided by commas, or *", _words),
    "snapCount": _Setting("snap_count", *_number(2, _INT)),
    "autopurge.snapRetainCount": _Setting("snap_retain_count", *_number(1, _INT)),
    "autopurge.purgeInterval": _Setting("purge_interval", *_number(0, _INT)),
    "extendedTypesEnabled": _Setting("extended_types", _BOOLEAN, _boolean),
    "superDigest": _Setting("super_digest", "user:base64(sha1(user:password))", lambda text: text or None),
    "enforceQuota": _Setting("enforce_quota", _BOOLEAN, _boolean),
    "jute.maxbuffer": _Setting("jute_maxbuffer", *_number(1024, _INT)),
    "znode.container.checkIntervalMs": _Setting("container_check_ms", *_number(1, _INT)),
}
_SYNONYMS = {"DigestAuthenticationProvider.superDigest": "superDigest"}
_NO_EFFECT = (
    "initLimit",
    "syncLimit",
    "preAllocSize",
    "forceSync",
    "standaloneEnabled",
    "reconfigEnabled",
    "peerType",
    "globalOutstandingLimit",
    "fsync.warningthresholdms",
    "admin.",
    "metricsProvider.",
    "secureClientPort",
    "ssl.",
    "serverCnxnFactory",
    "authProvider.",
    "jaasLoginRenew",
    "requireClientAuthScheme",
    "electionAlg",
    "maxResponseCacheSize",
    "snapSizeLimitInKb",
    "digest.enabled",
    "audit.enable",
    "quorumListenOnAllIPs",
    "localSessions",
    "readonlymode.enabled",
    "sasl",
    "sessionRequireClientSASLAuth",
)


def _build(entries: Iterable[Entry], source: str) -> ZooKeeperConfig:
    values: dict[str, Any] = {}
    wrong: list[str] = []
    warnings: dict[str, None] = {}
    idle: dict[str, None] = {}
    servers = 0
    for entry in entries:
        name = entry.name.removeprefix("zookeeper.")
        name = _SYNONYMS.get(name, name)
        setting = _SETTINGS.get(name)
        where = f"{source}, line {entry.line}" if entry.line is not None else source
        if setting is None:
            servers += name.startswith("server.")
            if name.startswith(_NO_EFFECT) or name.startswith("server."):
                idle[entry.name] = None
            else:
                warnings[f"{where}: {entry.name} is not a setting of ZooKeeper that is known here; ignored"] = None
            continue
        try:
            values[setting.field] = setting.parse(entry.text)
        except (ValueError, KeyError):
            wrong.append(f"{where}: {entry.name}={entry.text}: allowed is {setting.allowed}")
    if servers > 1:
        wrong.append(f"{source}: {servers} server.N lines make an ensemble; this server runs alone: remove them")
    if "data_dir" not in values and not wrong:
        wrong.append(f"{source}: dataDir is missing; set it to the directory that holds the data")
    if idle:
        warnings[f"{source}: known, but without effect here: {', '.join(idle)}"] = None
    config = ZooKeeperConfig(**values, source=source, warnings=tuple(warnings))
    if config.min_timeout_ms > config.max_timeout_ms:
        wrong.append(
            f"{source}: minSessionTimeout {config.min_timeout_ms} is above maxSessionTimeout {config.max_timeout_ms}"
        )
    if wrong:
        raise ConfigError("\n".join(wrong))
    return config
