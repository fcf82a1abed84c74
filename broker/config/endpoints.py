"""Where a broker listens and what it tells others of it (kafka.cluster.EndPoint, KafkaConfig.listeners)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SERVED_PROTOCOLS = ("PLAINTEXT",)

_ENDPOINT = re.compile(r"^(?P<name>[\w.-]+)://(?:\[(?P<six>[0-9A-Fa-f:.%]*)\]|(?P<host>[^:/\[\]]*)):(?P<port>-?\d+)/?$")


class EndPoint(NamedTuple):
    """One listener. ``host`` is "" for every address; ``port`` 0 for a free one."""

    listener: str
    host: str
    port: int
    protocol: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.listener}://{host}:{self.port}"


class BadEndPoints(ValueError):
    """A list of listeners that cannot be used; ``allowed`` says what can."""

    def __init__(self, value: str, why: str, allowed: str) -> None:
        super().__init__(why)
        self.value = value
        self.allowed = allowed


def parse_protocol_map(text: str) -> dict[str, str]:
    """``NAME:PROTOCOL,...``. Raises :class:`BadEndPoints`."""
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, _, protocol = (part.strip() for part in entry.partition(":"))
        if not name or protocol.upper() not in PROTOCOLS:
            raise BadEndPoints(entry, "not NAME:PROTOCOL", f"NAME:PROTOCOL with one of {', '.join(PROTOCOLS)}")
        if name.upper() in found:
            raise BadEndPoints(text, f"{name} is mapped twice", "each listener once")
        found[name.upper()] = protocol.upper()
    return found


def parse_listeners(text: str, protocols: Mapping[str, str]) -> tuple[EndPoint, ...]:
    """``NAME://host:port,...`` with the protocol of each name. Raises :class:`BadEndPoints`.

    As Kafka: names are not repeated, and neither are ports other than 0 (KIP-797 aside).
    """
    found: list[EndPoint] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = _ENDPOINT.match(entry)
        if match is None or not 0 <= int(match["port"]) <= 65535:
            raise BadEndPoints(
                entry,
                f"Unable to parse {entry} to a broker endpoint",
                "NAME://host:port, for instance PLAINTEXT://localhost:9092",
            )
        name = match["name"].upper()
        if name not in protocols:
            raise BadEndPoints(
                entry, f"No security protocol defined for listener {name}", "a name of listener.security.protocol.map"
            )
        found.append(EndPoint(name, match["six"] or match["host"] or "", int(match["port"]), protocols[name]))
    _check_distinct(text, found)
    return tuple(found)


def _check_distinct(text: str, endpoints: list[EndPoint]) -> None:
    names = [endpoint.listener for endpoint in endpoints]
    ports = [endpoint.port for endpoint in endpoints if endpoint.port]
    if len(set(names)) != len(names):
        raise BadEndPoints(text, "a listener is named twice", "each listener once")
    if len(set(ports)) != len(ports):
        raise BadEndPoints(text, "a port is used twice", "a port for each listener")
