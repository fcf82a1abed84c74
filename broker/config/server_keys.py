"""One row per broker setting: identity, ZooKeeper, sockets, controller, quotas (KafkaConfig of Kafka 3.9)."""

from __future__ import annotations

import re

from broker.config.keys import MAX_INT, Check, Key, Kind, Update, anything, at_least, between, not_empty, one_of

BOOLEAN, STRING, INT, LONG = Kind.BOOLEAN, Kind.STRING, Kind.INT, Kind.LONG
DOUBLE, LIST, CLASS, PASSWORD = Kind.DOUBLE, Kind.LIST, Kind.CLASS, Kind.PASSWORD
CLUSTER, PER_BROKER, READ_ONLY = Update.CLUSTER_WIDE, Update.PER_BROKER, Update.READ_ONLY

WITHOUT_LOGIN = Check("false (this broker has no login for ZooKeeper)", lambda value: value is False)
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


def _interbroker_protocol() -> Check:
    """Two sets of inter-broker versions are implemented (facts C.2); every other is refused."""
    return Check("3.9 (or 3.9-IV0) and 2.6 (or 2.6-IV0)", lambda text: text.split("-IV")[0] in ("3.9", "2.6"))


def _counts() -> Check:
    """A list of addresses, IPv6 ones in brackets or not, each with a count."""
    entry = r"\s*[^,]+:\d+\s*"
    return Check("address:count,address:count", lambda text: re.fullmatch(rf"({entry}(,{entry})*)?", text) is not None)


IDENTITY = (
    Key("broker.id", INT, -1, at_least(-1), "Id of this broker; -1 takes one from ZooKeeper."),
    Key("broker.id.generation.enable", BOOLEAN, True, anything(), "Whether an id may be taken from ZooKeeper."),
    Key("reserved.broker.max.id", INT, 1000, at_least(0), "Ids above this one are for brokers without broker.id."),
    Key("broker.rack", STRING, None, anything(), "Where this broker stands, for the placement of replicas."),
    Key(
        "inter.broker.protocol.version",
        STRING,
        "3.9-IV0",
        _interbroker_protocol(),
        "Versions in which brokers talk to each other.",
    ),
    Key("metric.reporters", LIST, (), anything(), "Java classes; none are loaded.", CLUSTER, effect=False),
    Key("auto.include.jmx.reporter", BOOLEAN, True, anything(), "JMX is Java's.", effect=False),
    Key(
        "process.roles",
        LIST,
        (),
        Check("nothing: kops runs with ZooKeeper", lambda value: not value),
        "KRaft only.",
        effect=False,
    ),
    Key("unstable.api.versions.enable", BOOLEAN, False, anything(), "None is offered.", effect=False),
)

ZOOKEEPER = (
    Key("zookeeper.connect", STRING, None, not_empty(), "host:port,host:port/chroot of the ZooKeeper servers."),
    Key("zookeeper.session.timeout.ms", INT, 18_000, at_least(1), "Session timeout asked of ZooKeeper."),
    Key("zookeeper.connection.timeout.ms", INT, None, at_least(1), "How long start-up waits for ZooKeeper."),
    Key("zookeeper.set.acl", BOOLEAN, False, WITHOUT_LOGIN, "Whether znodes belong to this broker alone."),
    Key("zookeeper.max.in.flight.requests", INT, 10, at_least(1), "Requests sent to ZooKeeper before a reply."),
    Key(
        "zookeeper.ssl.client.enable",
        BOOLEAN,
        False,
        Check("false", lambda value: value is False),
        "TLS.",
        effect=False,
    ),
    Key(
        "zookeeper.metadata.migration.enable",
        BOOLEAN,
        False,
        Check("false", lambda value: value is False),
        "KRaft.",
        effect=False,
    ),
)

SOCKETS = (
    Key("listeners", STRING, "PLAINTEXT://:9092", not_empty(), "NAME://host:port, ... to bind."),
    Key("advertised.listeners", STRING, None, not_empty(), "Listeners as clients reach them.", PER_BROKER),
    Key("host.name", STRING, None, anything(), "Kafka 1.x and 2.x: host of the listener, without listeners."),
    Key("port", INT, None, between(0, 65535), "Kafka 1.x and 2.x: port of the listener, without listeners."),
    Key("advertised.host.name", STRING, None, anything(), "Kafka 1.x and 2.x: host that clients are told."),
    Key("advertised.port", INT, None, between(0, 65535), "Kafka 1.x and 2.x: port that clients are told."),
    Key(
        "listener.security.protocol.map",
        STRING,
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        not_empty(),
        "NAME:PROTOCOL, ... for listeners that are not named after their protocol.",
    ),
    Key("inter.broker.listener.name", STRING, None, not_empty(), "Listener on which brokers talk to each other."),
    Key("security.inter.broker.protocol", STRING, "PLAINTEXT", one_of(*PROTOCOLS), "Its protocol, if it has no name."),
    Key("control.plane.listener.name", STRING, None, anything(), "No listener of its own."),
    Key("early.start.listeners", STRING, None, anything(), "KRaft's.", effect=False),
    Key("num.network.threads", INT, 3, at_least(1), "One event loop serves all.", CLUSTER, effect=False),
    Key("num.io.threads", INT, 8, at_least(1), "One event loop serves all.", CLUSTER, effect=False),
    Key("background.threads", INT, 10, at_least(1), "One event loop serves all.", CLUSTER, effect=False),
    Key("queued.max.requests", INT, 500, at_least(1), "Requests under way on a connection (256 at most)."),
    Key("queued.max.request.bytes", LONG, -1, at_least(-1), "Of requests that are received; 0, -1: no bound (KIP-72)."),
    Key(
        "request.timeout.ms",
        INT,
        30_000,
        at_least(0),
        "How long this broker waits for an answer of another.",
        effect=False,
    ),
    Key("socket.send.buffer.bytes", INT, 102_400, at_least(-1), "SO_SNDBUF.", effect=False),
    Key("socket.receive.buffer.bytes", INT, 102_400, at_least(-1), "SO_RCVBUF.", effect=False),
    Key(
        "socket.request.max.bytes", INT, 104_857_600, at_least(1), "Largest request; a larger one ends its connection."
    ),
    Key("socket.listen.backlog.size", INT, 50, at_least(1), "Connections that wait to be accepted."),
    Key("connections.max.idle.ms", LONG, 600_000, anything(), "Idle connections are closed after this time."),
    Key("max.connections", INT, MAX_INT, at_least(0), "Connections of this broker.", CLUSTER),
    Key("max.connections.per.ip", INT, MAX_INT, at_least(0), "Connections from one address.", CLUSTER),
    Key("max.connections.per.ip.overrides", STRING, "", _counts(), "Other counts for some addresses.", CLUSTER),
    Key("max.connection.creation.rate", INT, MAX_INT, at_least(0), "New connections a second.", CLUSTER, effect=False),
    Key(
        "connection.failed.authentication.delay.ms",
        INT,
        100,
        at_least(0),
        "Wait before a failure is told.",
        effect=False,
    ),
    Key("message.max.bytes", INT, 1_048_588, at_least(0), "Default of max.message.bytes.", CLUSTER),
    Key("fetch.max.bytes", INT, 57_671_680, at_least(1024), "Most bytes of one fetch."),
    Key("max.incremental.fetch.session.cache.slots", INT, 1000, at_least(0), "Fetch sessions that are kept (KIP-227)."),
    Key("max.request.partition.size.limit", INT, 2000, at_least(1), "KRaft's.", effect=False),
)

CONTROLLER = (
    Key("auto.create.topics.enable", BOOLEAN, True, anything(), "Whether asking for a topic creates it."),
    Key("delete.topic.enable", BOOLEAN, True, anything(), "Whether topics may be deleted."),
    Key("default.replication.factor", INT, 1, at_least(1), "Replicas of a topic that does not say."),
    Key("num.partitions", INT, 1, at_least(1), "Partitions of a topic that does not say."),
    Key("auto.leader.rebalance.enable", BOOLEAN, True, anything(), "Whether preferred leaders are put back."),
    Key("leader.imbalance.per.broker.percentage", INT, 10, at_least(0), "Imbalance from which that is done."),
    Key("leader.imbalance.check.interval.seconds", LONG, 300, at_least(1), "How often it is looked at."),
    Key("controlled.shutdown.enable", BOOLEAN, True, anything(), "Whether leadership is handed over before a stop."),
    Key("controlled.shutdown.max.retries", INT, 3, at_least(0), "Tries of that."),
    Key("controlled.shutdown.retry.backoff.ms", LONG, 5000, at_least(0), "Pause between them."),
    Key("controller.socket.timeout.ms", INT, 30_000, at_least(1), "How long the controller waits for a broker."),
    Key(
        "kops.controller.fast.failover.enable",
        BOOLEAN,
        True,
        anything(),
        "Of kops alone: whether a broker that refuses connections is replaced before its session ends.",
    ),
    Key(
        "kops.controller.fast.failover.window.ms",
        INT,
        100,
        between(20, 60_000),
        "Of kops alone: how long it must refuse every one of several attempts.",
    ),
    Key("controller.quota.window.num", INT, 11, at_least(1), "Samples of controller quotas.", effect=False),
    Key("controller.quota.window.size.seconds", INT, 1, at_least(1), "Length of one.", effect=False),
    Key("create.topic.policy.class.name", CLASS, None, anything(), "A Java class; not loaded.", effect=False),
    Key("alter.config.policy.class.name", CLASS, None, anything(), "A Java class; not loaded.", effect=False),
)

QUOTAS = (
    Key("quota.window.num", INT, 11, at_least(1), "Samples of client quotas.", effect=False),
    Key("quota.window.size.seconds", INT, 1, at_least(1), "Length of one.", effect=False),
    Key(
        "quota.producer.default", LONG, None, at_least(1), "Kafka 2.x: bytes a second for each producer.", effect=False
    ),
    Key(
        "quota.consumer.default", LONG, None, at_least(1), "Kafka 2.x: bytes a second for each consumer.", effect=False
    ),
    Key("replication.quota.window.num", INT, 11, at_least(1), "Samples of replication quotas."),
    Key("replication.quota.window.size.seconds", INT, 1, at_least(1), "Length of one."),
    Key("alter.log.dirs.replication.quota.window.num", INT, 11, at_least(1), "Samples of moves."),
    Key("alter.log.dirs.replication.quota.window.size.seconds", INT, 1, at_least(1), "Length of one."),
    Key("client.quota.callback.class", CLASS, None, anything(), "A Java class; not loaded.", effect=False),
    Key("leader.replication.throttled.rate", LONG, None, at_least(0), "Bytes a second that leaders send.", CLUSTER),
    Key("follower.replication.throttled.rate", LONG, None, at_least(0), "Bytes a second that followers get.", CLUSTER),
    Key(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        LONG,
        None,
        at_least(0),
        "Bytes a second that are copied between log dirs.",
        CLUSTER,
    ),
)

SERVER_KEYS: tuple[Key, ...] = (*IDENTITY, *ZOOKEEPER, *SOCKETS, *CONTROLLER, *QUOTAS)
