"""Who listens at an address: a broker, a ZooKeeper, somebody else, nobody. Asked before a client library is let loose.

A client library that knocks at the wrong door tries until its time is up and then says that there is nobody.
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum

from kops.errors import BadUsage, KopsError, Unreachable

_PATIENCE = 3.0
_ANSWER_SECONDS = 1.0
_CORRELATION = b"kops"
# ApiVersions in version 0 without a client id: what every broker since 0.10 answers, before anybody has logged in, too.
_API_VERSIONS = b"\x00\x00\x00\x0a" + b"\x00\x12\x00\x00" + _CORRELATION + b"\xff\xff"


class Listener(Enum):
    """Who it is, in words, and where it listens as a rule (0: who knows)."""

    BROKER = ("a broker", 9092)
    ZOOKEEPER = ("a ZooKeeper", 2181)
    SILENT = ("somebody who does not answer", 0)
    STRANGER = ("neither a broker nor a ZooKeeper", 0)

    @property
    def words(self) -> str:
        return self.value[0]

    @property
    def port(self) -> int:
        return self.value[1]


def split_address(server: str, default_port: int = 9092) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port``. Raises BadUsage for what is neither."""
    host, found, port = server.rpartition(":")
    if not found or server.endswith("]"):
        return server.strip("[]"), default_port
    if not port.isdigit() or not 0 < int(port) < 65536 or "/" in host:
        raise BadUsage(f"'{server}' is not HOST:PORT", f"For example localhost:{default_port}.")
    return host.strip("[]") or "localhost", int(port)


def zookeepers(hosts: str) -> list[str]:
    """Who answers as a ZooKeeper of ``host:port,host:port/chroot``, see :func:`answering`. Raises Unreachable."""
    return answering(hosts.partition("/")[0].split(","), Listener.ZOOKEEPER)


def answering(servers: Sequence[str], wanted: Listener, *, tls: bool = False) -> list[str]:
    """Those that are what is ``wanted``, then who is silent, then who refuses. Raises Unreachable without the former.

    Behind ``tls`` nobody can be told from another. Who is just starting or stopping may hang up: a stranger must be
    seen twice.
    """
    good: list[str] = []
    silent: list[str] = []
    refused: dict[str, str] = {}
    wrong: list[KopsError] = []
    for server in servers:
        try:
            found = _behind_tls(server, wanted.port) if tls else listener(server, wanted)
            if found is Listener.STRANGER:
                found = listener(server, wanted)
        except OSError as error:
            refused[server] = _in_words(error)
            continue
        if found in (wanted, Listener.SILENT):
            (good if found is wanted else silent).append(server)
        else:
            wrong.append(wrong_door(server, found, wanted))
    if good or silent:
        return [*good, *silent, *refused]
    if wrong:
        raise wrong[0]
    told = "; ".join(f"{server}: {reason}" for server, reason in refused.items())
    raise Unreachable(f"no {wanted.words.removeprefix('a ')} answers ({told})", _TO_START[wanted])


def listener(server: str, wanted: Listener) -> Listener:
    """Who accepts connections there. Raises OSError where nobody does; takes a second where nobody answers."""
    asks = {Listener.BROKER: _is_broker, Listener.ZOOKEEPER: _is_zookeeper}
    first, second = (wanted, *(other for other in asks if other is not wanted))
    said = asks[first](server, wanted.port)
    if said is None:
        return Listener.SILENT  # each would have hung up on the other's question
    if said:
        return first
    return second if asks[second](server, wanted.port) else Listener.STRANGER


def wrong_door(server: str, found: Listener, wanted: Listener) -> KopsError:
    """What to say when ``found`` listens where ``wanted`` should."""
    if found is Listener.ZOOKEEPER:
        return Unreachable(
            f"{server} is a ZooKeeper, not a broker",
            f"Say where a broker listens: --bootstrap-server HOST:9092. ZooKeeper is given as --zookeeper {server}.",
        )
    if found is Listener.BROKER:
        return Unreachable(
            f"{server} is a Kafka broker, not a ZooKeeper",
            f"Say where ZooKeeper listens: --zookeeper HOST:2181. Brokers are given as --bootstrap-server {server}.",
        )
    return Unreachable(
        f"{server} does not speak as {wanted.words} does",
        f"Is the port right? It is {wanted.port} as a rule. With TLS say so: --command-config FILE.",
    )


_TO_START = {
    Listener.BROKER: "Start one with `kops up`, or say --bootstrap-server HOST:PORT.",
    Listener.ZOOKEEPER: "Start one with `kops zookeeper start FILE`.",
}


def _is_broker(server: str, default_port: int) -> bool | None:
    """None when it says nothing."""
    answer = _answer(server, default_port, _API_VERSIONS, 8)
    return None if answer is None else answer[4:8] == _CORRELATION


def _is_zookeeper(server: str, default_port: int) -> bool | None:
    """None when it says nothing. Where the word is not allowed, a ZooKeeper says which it was."""
    answer = _answer(server, default_port, b"ruok", 4)
    return None if answer is None else answer in (b"imok", b"ruok", b"This")


def _behind_tls(server: str, default_port: int) -> Listener:
    with _connected(server, default_port):
        return Listener.SILENT


def _answer(server: str, default_port: int, question: bytes, enough: int) -> bytes | None:
    """The first ``enough`` bytes of what comes back, or fewer where no more come; None for silence."""
    got = b""
    with _connected(server, default_port) as line:
        line.settimeout(_ANSWER_SECONDS)
        with suppress(ConnectionError):
            try:
                line.sendall(question)
                while len(got) < enough and (part := line.recv(enough - len(got))):
                    got += part
            except TimeoutError:
                return None
    return got


def _connected(server: str, default_port: int) -> socket.socket:
    return socket.create_connection(split_address(server, default_port), timeout=_PATIENCE)


def _in_words(error: OSError) -> str:
    return "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
