"""Lazily opened clients for one context: kafka-python's admin client, aiokafka's data clients, kazoo for ZooKeeper.

The only place that knows how a context becomes a client's settings, and the only one that reaches into kafka-python for
what its admin client keeps to itself: sending one request to one broker.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from kops.contexts import Context, reveal
from kops.errors import BadUsage
from kops.listeners import Listener, answering, zookeepers

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from kafka import KafkaAdminClient
    from kazoo.client import KazooClient

T = TypeVar("T")


class Session:
    """Clients of one context, opened when first asked for and closed together. ``timeout``: seconds for one answer."""

    def __init__(self, context: Context, timeout: float = 30.0, client_id: str = "kops") -> None:
        self.context = context
        self.timeout = timeout
        self.client_id = client_id
        self._admin: KafkaAdminClient | None = None
        self._zookeeper: KazooClient | None = None
        self._adopted: list[KazooClient] = []

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        for client in (self._zookeeper, *self._adopted):
            if client is not None:
                client.stop()
                client.close()
        self._zookeeper, self._adopted = None, []

    def adopt(self, client: "KazooClient") -> None:
        """Close this client, too, when the session ends."""
        self._adopted.append(client)

    @property
    def servers(self) -> list[str]:
        return [server.strip() for server in self.context.bootstrap_servers.split(",") if server.strip()]

    @property
    def admin(self) -> "KafkaAdminClient":
        """kafka-python's admin client, connected. Raises Unreachable at once when nobody listens."""
        if self._admin is None:
            self._admin = self._connected(self._probe())
        return self._admin

    def _connected(self, reachable: list[str]) -> "KafkaAdminClient":
        """The client, or nothing left of it: one that cannot connect keeps its thread and sockets to itself."""
        from kafka import KafkaAdminClient
        from kafka.net.compat import KafkaNetClient

        opened: list[Any] = []

        def remembered(**settings: Any) -> Any:
            # A paused broker is still connected to by its kernel, and then says nothing: that, too, has a limit.
            settings["socket_connection_setup_timeout_ms"] = min(milliseconds, 10_000)
            settings["socket_connection_setup_timeout_max_ms"] = min(milliseconds, 30_000)
            opened.append(KafkaNetClient(**settings))
            return opened[0]

        milliseconds = int(self.timeout * 1000)
        try:
            return KafkaAdminClient(
                bootstrap_servers=reachable,
                client_id=self.client_id,
                request_timeout_ms=milliseconds,
                bootstrap_timeout_ms=milliseconds,
                reconnect_backoff_max_ms=1000,
                kafka_client=remembered,
                **_kafka_python_settings(self.context),
            )
        except BaseException:
            for client in opened:
                client.close()
                client._manager._net.stop()
            raise

    @property
    def kraft(self) -> bool:
        """Whether the cluster keeps its metadata without ZooKeeper: only then do brokers tell of a quorum."""
        from kafka.protocol.api_key import ApiKey

        return ApiKey.DescribeQuorum in self.admin._manager.broker_version_data.api_versions

    def send(self, request: Any, broker: int | None = None) -> Any:
        """One protocol message of kafka-python to ``broker`` (any when None); its response. Raises kafka.errors."""

        async def ask() -> Any:
            return await self.admin._manager.send(request, node_id=broker)

        if broker is not None:
            return self.admin._manager.run(ask)
        return self.patiently(lambda: self.admin._manager.run(ask))

    def send_all(self, requests: Mapping[int, Any]) -> dict[int, Any]:
        """One message to each broker, all under way at once: the response or the exception of each."""
        from kafka.errors import KafkaError

        async def ask() -> dict[int, Any]:
            under_way: dict[int, Any] = {}
            for broker, request in requests.items():
                try:
                    under_way[broker] = self.admin._manager.send(request, node_id=broker)
                except KafkaError as error:
                    under_way[broker] = error
                    # The client may not have heard of it yet: one that was away is forgotten, and asked for by nobody.
                    self.admin._manager.cluster.request_update()
            for broker, future in under_way.items():
                try:
                    under_way[broker] = future if isinstance(future, KafkaError) else await future
                except KafkaError as error:
                    under_way[broker] = error
            return under_way

        answered: dict[int, Any] = self.admin._manager.run(ask) if requests else {}
        return answered

    def patiently(self, ask: Callable[[], T]) -> T:
        """What ``ask`` returns; asked again while the broker that was picked refuses connections.

        A broker that was killed stays in the metadata until its session ends, and clients go on picking it. A refused
        connection means that nothing was sent: changes can be asked again, too. Raises kafka.errors after 15 s.
        """
        from kafka.errors import KafkaConnectionError, NodeNotReadyError

        deadline = time.monotonic() + min(self.timeout, 15.0)
        while True:
            try:
                return ask()
            except (KafkaConnectionError, NodeNotReadyError) as error:
                refused = isinstance(error, NodeNotReadyError) or "ECONNREFUSED" in str(error)
                if not refused or time.monotonic() > deadline:
                    raise
                # The controller may be another one by now.
                self.admin._controller_id = None
                time.sleep(0.1)

    @property
    def zookeeper(self) -> "KazooClient":
        """A started kazoo client. Raises BadUsage without an address, Unreachable when nobody answers."""
        if self._zookeeper is None:
            self._zookeeper = open_zookeeper(self.context.zookeeper, min(self.timeout, 10.0))
        return self._zookeeper

    def producer(self, **settings: Any) -> "AIOKafkaProducer":
        """An aiokafka producer, not started. To be called inside of a running event loop."""
        from aiokafka import AIOKafkaProducer

        return AIOKafkaProducer(**self._aiokafka_settings(), **settings)

    def consumer(self, group: str | None = None, **settings: Any) -> "AIOKafkaConsumer":
        """An aiokafka consumer, not started; it commits only when told to. To be called inside of a running loop."""
        from aiokafka import AIOKafkaConsumer

        return AIOKafkaConsumer(**self._aiokafka_settings(), group_id=group, enable_auto_commit=False, **settings)

    def _aiokafka_settings(self) -> dict[str, Any]:
        settings = {
            "bootstrap_servers": self._probe(),
            "client_id": self.client_id,
            "request_timeout_ms": int(self.timeout * 1000),
        }
        return settings | _aiokafka_settings(self.context)

    def _probe(self) -> list[str]:
        """The bootstrap servers, those that answer first. Raises Unreachable at once when no broker is there."""
        if not self.servers:
            raise BadUsage(
                "no bootstrap server is given", "Say --bootstrap-server HOST:PORT, or `kops up` to start one."
            )
        return answering(
            self.servers, Listener.BROKER, tls="SSL" in self.context.properties.get("security.protocol", "")
        )


class LastAnswer:
    """To ask the same again and again: an answer of the same bytes is not decoded, it is the last one, as an object.

    kafka-python takes it for the request, for the request's header and for the class of the response.
    """

    def __init__(self) -> None:
        self._request: Any = None
        self._bytes = b""
        self._answer: Any = None
        self._made: Any = None

    def to(self, request: Any) -> "LastAnswer":
        self._request = request
        return self

    def made(self, answer: Any, make: Callable[[Any], T]) -> T:
        """What ``make`` makes of the answer; of the same answer the same."""
        if self._made is None or self._made[0] is not answer:
            self._made = answer, make(answer)
        made: T = self._made[1]
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    @property
    def API_VERSION(self) -> int | None:  # noqa: N802
        version: int | None = self._request.API_VERSION
        return version

    @API_VERSION.setter
    def API_VERSION(self, version: int) -> None:  # noqa: N802
        self._request.API_VERSION = version

    @property
    def header(self) -> "LastAnswer":
        return self

    @property
    def correlation_id(self) -> int:
        return int(self._request.header.correlation_id)

    def get_response_class(self) -> "LastAnswer":
        return self

    def parse_header(self, data: Any) -> Any:
        return self._request.header.get_response_class().parse_header(data)

    def decode(self, data: Any) -> Any:
        got = data.read()
        if got != self._bytes:
            self._answer = self._request.header.get_response_class().decode(got)
            self._bytes = got
        return self._answer


def open_zookeeper(hosts: str | None, timeout: float, auth: Sequence[tuple[str, str]] = ()) -> "KazooClient":
    """A started kazoo client for ``host:port,host:port/chroot``. Raises BadUsage without hosts, Unreachable."""
    if not hosts:
        raise BadUsage("no ZooKeeper is given", "Say --zookeeper HOST:PORT, or use a context that has one.")
    zookeepers(hosts)
    from kazoo.client import KazooClient

    client = KazooClient(hosts=hosts, timeout=10.0, auth_data=list(auth) or None)
    client.start(timeout=timeout)
    return client


def _kafka_python_settings(context: Context) -> dict[str, Any]:
    """Java client properties as kafka-python's settings."""
    given = {name: reveal(value) for name, value in context.properties.items()}
    protocol = given.get("security.protocol", "PLAINTEXT")
    settings: dict[str, Any] = {"security_protocol": protocol}
    if "SSL" in protocol:
        settings["ssl_context"] = _ssl_context(given)
    if protocol.startswith("SASL"):
        user, password = _credentials(given)
        settings["sasl_mechanism"] = given.get("sasl.mechanism", "PLAIN")
        settings["sasl_plain_username"], settings["sasl_plain_password"] = user, password
    return settings


def _aiokafka_settings(context: Context) -> dict[str, Any]:
    """aiokafka took over kafka-python's names for these settings."""
    return _kafka_python_settings(context)


def _credentials(given: dict[str, str]) -> tuple[str, str]:
    """User and password: librdkafka's two names, or Java's ``sasl.jaas.config`` line."""
    import re

    if "sasl.username" in given:
        return given["sasl.username"], given.get("sasl.password", "")
    pairs = dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', given.get("sasl.jaas.config", "")))
    if "username" not in pairs:
        raise BadUsage("SASL needs a user", "Set sasl.jaas.config, or sasl.username and sasl.password.")
    return pairs["username"], pairs.get("password", "")


def _ssl_context(given: dict[str, str]) -> Any:
    """PEM files only: ``ssl.truststore.location``/``ssl.ca.location``, ``ssl.keystore.location``."""
    import ssl

    context = ssl.create_default_context(cafile=given.get("ssl.truststore.location") or given.get("ssl.ca.location"))
    if given.get("ssl.endpoint.identification.algorithm") == "":
        context.check_hostname = False
    keystore = given.get("ssl.keystore.location") or given.get("ssl.certificate.location")
    if keystore:
        key = given.get("ssl.key.location")
        password = given.get("ssl.key.password") or given.get("ssl.keystore.password")
        context.load_cert_chain(keystore, key, password)
    return context
