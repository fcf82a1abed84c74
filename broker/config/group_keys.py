"""One row per broker setting: groups, transactions, security (KafkaConfig of Kafka 3.9)."""

from __future__ import annotations

from broker.config.keys import MAX_INT, Key, Kind, Update, anything, at_least, between

BOOLEAN, STRING, INT, LONG, SHORT = Kind.BOOLEAN, Kind.STRING, Kind.INT, Kind.LONG, Kind.SHORT
LIST, CLASS, PASSWORD = Kind.LIST, Kind.CLASS, Kind.PASSWORD
CLUSTER, PER_BROKER = Update.CLUSTER_WIDE, Update.PER_BROKER

GROUPS = (
    Key("group.min.session.timeout.ms", INT, 6000, at_least(0), "Shortest session of a member."),
    Key("group.max.session.timeout.ms", INT, 1_800_000, at_least(0), "Longest session of a member."),
    Key("group.initial.rebalance.delay.ms", INT, 3000, at_least(0), "Wait for more members of a new group."),
    Key("group.max.size", INT, MAX_INT, at_least(1), "Members of one group."),
    Key("offset.metadata.max.bytes", INT, 4096, at_least(0), "Length of the text of a commit."),
    Key(
        "offsets.load.buffer.size",
        INT,
        5_242_880,
        at_least(1),
        "Bytes read at once when offsets are loaded.",
        effect=False,
    ),
    Key("offsets.topic.num.partitions", INT, 50, at_least(1), "Partitions of __consumer_offsets."),
    Key("offsets.topic.replication.factor", SHORT, 3, at_least(1), "Replicas of __consumer_offsets."),
    Key("offsets.topic.segment.bytes", INT, 104_857_600, at_least(1), "Segment size of __consumer_offsets."),
    Key("offsets.topic.compression.codec", INT, 0, between(0, 4), "Codec of its batches.", effect=False),
    Key("offsets.retention.minutes", INT, 10_080, at_least(1), "How long the offsets of an empty group are kept."),
    Key("offsets.retention.check.interval.ms", LONG, 600_000, at_least(1), "How often that is looked at."),
    Key("offsets.commit.timeout.ms", INT, 5000, at_least(1), "How long a commit waits for its replicas."),
    Key("offsets.commit.required.acks", SHORT, -1, between(-1, 1), "Replicas that a commit waits for."),
)

TRANSACTIONS = (
    Key(
        "transactional.id.expiration.ms",
        INT,
        604_800_000,
        at_least(1),
        "Unused transactional ids go after this.",
        effect=False,
    ),
    Key("transaction.max.timeout.ms", INT, 900_000, at_least(1), "Longest transaction.", effect=False),
    Key("transaction.state.log.num.partitions", INT, 50, at_least(1), "Partitions of __transaction_state."),
    Key("transaction.state.log.replication.factor", SHORT, 3, at_least(1), "Replicas of __transaction_state."),
    Key("transaction.state.log.min.isr", INT, 2, at_least(1), "Its min.insync.replicas."),
    Key("transaction.state.log.segment.bytes", INT, 104_857_600, at_least(1), "Its segment size."),
    Key(
        "transaction.state.log.load.buffer.size",
        INT,
        5_242_880,
        at_least(1),
        "Bytes read at once when it is loaded.",
        effect=False,
    ),
    Key(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        INT,
        10_000,
        at_least(1),
        "How often transactions that took too long are aborted.",
        effect=False,
    ),
    Key(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        INT,
        3_600_000,
        at_least(1),
        "How often unused transactional ids are removed.",
        effect=False,
    ),
    Key(
        "transaction.partition.verification.enable",
        BOOLEAN,
        True,
        anything(),
        "KIP-890, part 1.",
        CLUSTER,
        effect=False,
    ),
    Key(
        "producer.id.expiration.ms",
        INT,
        86_400_000,
        at_least(1),
        "Idle producer ids are forgotten after this.",
        CLUSTER,
    ),
    Key("producer.id.expiration.check.interval.ms", INT, 600_000, at_least(1), "How often that is looked at."),
)

SECURITY = (
    Key(
        "authorizer.class.name",
        STRING,
        "",
        anything(),
        "Which authorizer decides; empty: everyone may do all.",
        effect=False,
    ),
    Key("super.users", STRING, None, anything(), "User:name;User:name who may do all.", effect=False),
    Key(
        "allow.everyone.if.no.acl.found",
        BOOLEAN,
        False,
        anything(),
        "What holds for a resource without ACLs.",
        effect=False,
    ),
    Key("principal.builder.class", CLASS, None, anything(), "A Java class; not loaded.", PER_BROKER, effect=False),
    Key("password.encoder.secret", PASSWORD, None, anything(), "Key of passwords kept in ZooKeeper.", effect=False),
    Key("password.encoder.old.secret", PASSWORD, None, anything(), "The key before.", effect=False),
    Key("delegation.token.master.key", PASSWORD, None, anything(), "Delegation tokens.", effect=False),
    Key("delegation.token.secret.key", PASSWORD, None, anything(), "Delegation tokens.", effect=False),
    Key("sasl.enabled.mechanisms", LIST, ("GSSAPI",), anything(), "Mechanisms of SASL.", PER_BROKER, effect=False),
    Key(
        "sasl.mechanism.inter.broker.protocol",
        STRING,
        "GSSAPI",
        anything(),
        "Mechanism between brokers.",
        PER_BROKER,
        effect=False,
    ),
    Key("sasl.jaas.config", PASSWORD, None, anything(), "Login of SASL.", PER_BROKER, effect=False),
    Key("sasl.server.max.receive.size", INT, 524_288, at_least(1), "Largest SASL message.", effect=False),
    Key("connections.max.reauth.ms", LONG, 0, anything(), "KIP-368.", effect=False),
    Key("ssl.keystore.location", STRING, None, anything(), "TLS.", PER_BROKER, effect=False),
    Key("ssl.keystore.password", PASSWORD, None, anything(), "TLS.", PER_BROKER, effect=False),
    Key("ssl.keystore.type", STRING, "JKS", anything(), "TLS.", PER_BROKER, effect=False),
    Key("ssl.key.password", PASSWORD, None, anything(), "TLS.", PER_BROKER, effect=False),
    Key("ssl.truststore.location", STRING, None, anything(), "TLS.", PER_BROKER, effect=False),
    Key("ssl.truststore.password", PASSWORD, None, anything(), "TLS.", PER_BROKER, effect=False),
    Key("ssl.truststore.type", STRING, "JKS", anything(), "TLS.", PER_BROKER, effect=False),
    Key("ssl.client.auth", STRING, "none", anything(), "TLS.", PER_BROKER, effect=False),
    Key("ssl.protocol", STRING, "TLSv1.3", anything(), "TLS.", PER_BROKER, effect=False),
    Key("ssl.enabled.protocols", LIST, ("TLSv1.2", "TLSv1.3"), anything(), "TLS.", PER_BROKER, effect=False),
    Key("ssl.endpoint.identification.algorithm", STRING, "https", anything(), "TLS.", PER_BROKER, effect=False),
)

GROUP_KEYS: tuple[Key, ...] = (*GROUPS, *TRANSACTIONS, *SECURITY)
