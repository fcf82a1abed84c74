"""Who is behind a port is found out before a client library tries for its whole time, and said in words."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kops import listeners
from kops.errors import BadUsage, Unreachable
from kops.listeners import Listener, answering, listener
from tests.kops.conftest import Said

Kops = Callable[..., Said]
Behave = Callable[[bytes], bytes | None]
API_VERSIONS = b"\x00\x12\x00\x00"


def broker(asked: bytes) -> bytes | None:
    """Answers a frame, hangs up on what is none."""
    return b"\x00\x00\x00\x0a" + asked[8:12] + bytes(6) if asked[4:8] == API_VERSIONS else b""


def zookeeper(asked: bytes) -> bytes | None:
    return b"imok" if asked == b"ruok" else b""


def careful_zookeeper(asked: bytes) -> bytes | None:
    return b"ruok is not executed because it is not in the whitelist." if asked == b"ruok" else b""


def webserver(asked: bytes) -> bytes | None:
    return b"HTTP/1.1 400 Bad Request\r\n\r\n"


def nobody_home(asked: bytes) -> bytes | None:
    """As a process that is stopped: its kernel accepts, and that is all."""
    return None


Start = Callable[[Behave], str]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """``start(behaviour)`` is the address of a server that answers each connection's first bytes so."""
    monkeypatch.setattr(listeners, "_ANSWER_SECONDS", 0.3)
    done = threading.Event()
    with ExitStack() as stack:

        def begin(behave: Behave) -> str:
            class Handler(socketserver.BaseRequestHandler):
                def handle(self) -> None:
                    answer = behave(self.request.recv(64))
                    if answer is None:
                        done.wait(20)
                    else:
                        self.request.sendall(answer)

            server = stack.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
            return f"127.0.0.1:{server.server_address[1]}"

        yield begin
        done.set()


@pytest.mark.parametrize("wanted", [Listener.BROKER, Listener.ZOOKEEPER])
def test_each_is_told_from_the_others(start: Start, wanted: Listener) -> None:
    found = {
        broker: Listener.BROKER,
        zookeeper: Listener.ZOOKEEPER,
        careful_zookeeper: Listener.ZOOKEEPER,
        webserver: Listener.STRANGER,
        nobody_home: Listener.SILENT,
    }
    assert {behave: listener(start(behave), wanted) for behave in found} == found


def test_brokers_that_answer_are_asked_before_those_that_do_not(start: Start) -> None:
    silent, good = start(nobody_home), start(broker)
    assert answering(["127.0.0.1:1", silent, start(zookeeper), good], Listener.BROKER) == [good, silent, "127.0.0.1:1"]


def test_behind_tls_whoever_listens_may_be_it(start: Start) -> None:
    address = start(webserver)
    assert answering(["127.0.0.1:1", address], Listener.BROKER, tls=True) == [address, "127.0.0.1:1"]


def test_a_stranger_is_said_to_be_one(start: Start) -> None:
    address = start(webserver)
    with pytest.raises(Unreachable, match=f"{address} does not speak as a broker does"):
        answering([address], Listener.BROKER)


@pytest.mark.parametrize("address", ["localhost:99999", "localhost:0", "localhost:abc", "http://localhost:9092"])
def test_what_is_no_address_is_said_before_anybody_is_asked(address: str) -> None:
    with pytest.raises(BadUsage, match="is not HOST:PORT"):
        answering([address], Listener.BROKER)


def test_a_zookeeper_given_as_a_broker_is_named(start: Start, kops: Kops) -> None:
    address = start(zookeeper)
    for line in ("topic list", "produce t --file /dev/null", "consume t", "broker list"):
        said = kops(*line.split(), "-b", address)
        assert (said.code, said.out) == (5, "")
        assert said.err.splitlines()[0] == f"kops: {address} is a ZooKeeper, not a broker"


def test_a_broker_given_as_a_zookeeper_is_named(start: Start, kops: Kops) -> None:
    address = start(broker)
    for line in ("topic list", "zookeeper ls /", "zookeeper status"):
        said = kops(*line.split(), "--zookeeper", address)
        assert (said.code, said.out) == (5, "")
        assert said.err.splitlines()[0] == f"kops: {address} is a Kafka broker, not a ZooKeeper"
