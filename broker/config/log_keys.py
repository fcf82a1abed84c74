"""One row per broker setting: logs, cleaner, replication (KafkaConfig of Kafka 3.9)."""

from __future__ import annotations

from broker.config.keys import (
    MAX_DOUBLE,
    MAX_LONG,
    Key,
    Kind,
    Update,
    anything,
    at_least,
    between,
    between_or,
    each_of,
    kafka_version,
    not_empty,
    one_of,
)
from broker.config.topic_keys import COMPRESSION_TYPES

BOOLEAN, STRING, INT, LONG = Kind.BOOLEAN, Kind.STRING, Kind.INT, Kind.LONG
DOUBLE, LIST, CLASS = Kind.DOUBLE, Kind.LIST, Kind.CLASS
CLUSTER = Update.CLUSTER_WIDE

LOG = (
    Key("log.dir", STRING, "/tmp/kafka-logs", not_empty(), "Where logs are kept, if log.dirs does not say."),
    Key("log.dirs", LIST, None, not_empty(), "Where logs are kept."),
    Key("num.recovery.threads.per.data.dir", INT, 1, at_least(1), "One worker recovers.", CLUSTER, effect=False),
    Key("log.retention.check.interval.ms", LONG, 300_000, at_least(1), "How often retention is looked at."),
    Key("log.flush.scheduler.interval.ms", LONG, MAX_LONG, anything(), "How often flush.ms is looked at."),
    Key("log.flush.offset.checkpoint.interval.ms", INT, 60_000, at_least(0), "How often recovery points are written."),
    Key(
        "log.flush.start.offset.checkpoint.interval.ms",
        INT,
        60_000,
        at_least(0),
        "How often log start offsets are written.",
    ),
    Key("log.dir.failure.timeout.ms", LONG, 30_000, at_least(1), "KRaft's.", effect=False),
    Key("log.initial.task.delay.ms", LONG, 30_000, at_least(0), "Wait before the first look at retention."),
    Key("log.cleanup.policy", LIST, ("delete",), each_of("compact", "delete"), "Default of cleanup.policy.", CLUSTER),
    Key("compression.type", STRING, "producer", one_of(*COMPRESSION_TYPES), "Default of compression.type.", CLUSTER),
    Key("compression.gzip.level", INT, -1, between_or(1, 9, -1), "Default of the topic's.", CLUSTER),
    Key("compression.lz4.level", INT, 9, between(1, 17), "Default of the topic's.", CLUSTER),
    Key("compression.zstd.level", INT, 3, between(-131072, 22), "Default of the topic's.", CLUSTER),
    Key("log.segment.bytes", INT, 2**30, at_least(14), "Default of segment.bytes.", CLUSTER),
    Key("log.segment.delete.delay.ms", LONG, 60_000, at_least(0), "Default of file.delete.delay.ms.", CLUSTER),
    Key("log.flush.interval.messages", LONG, MAX_LONG, at_least(1), "Default of flush.messages.", CLUSTER),
    Key("log.flush.interval.ms", LONG, None, at_least(0), "Default of flush.ms.", CLUSTER),
    Key("log.index.interval.bytes", INT, 4096, at_least(0), "Default of index.interval.bytes.", CLUSTER),
    Key("log.index.size.max.bytes", INT, 10_485_760, at_least(4), "Default of segment.index.bytes.", CLUSTER),
    Key("log.local.retention.bytes", LONG, -2, at_least(-2), "Tiered storage only.", CLUSTER, effect=False),
    Key("log.local.retention.ms", LONG, -2, at_least(-2), "Tiered storage only.", CLUSTER, effect=False),
    Key(
        "log.message.downconversion.enable", BOOLEAN, True, anything(), "Default of the topic's.", CLUSTER, effect=False
    ),
    Key("log.message.format.version", STRING, "3.0-IV1", kafka_version(), "Deprecated by Kafka 3.0.", effect=False),
    Key("log.message.timestamp.after.max.ms", LONG, MAX_LONG, at_least(0), "Default of the topic's.", CLUSTER),
    Key("log.message.timestamp.before.max.ms", LONG, MAX_LONG, at_least(0), "Default of the topic's.", CLUSTER),
    Key("log.message.timestamp.difference.max.ms", LONG, MAX_LONG, at_least(0), "Default of the topic's.", CLUSTER),
    Key(
        "log.message.timestamp.type",
        STRING,
        "CreateTime",
        one_of("CreateTime", "LogAppendTime"),
        "Default of message.timestamp.type.",
        CLUSTER,
    ),
    Key("log.preallocate", BOOLEAN, False, anything(), "Default of preallocate.", CLUSTER, effect=False),
    Key("log.retention.bytes", LONG, -1, anything(), "Default of retention.bytes.", CLUSTER),
    Key("log.retention.ms", LONG, None, at_least(-1), "Default of retention.ms.", CLUSTER),
    Key("log.retention.minutes", INT, None, at_least(-1), "The same in minutes, if log.retention.ms is not set."),
    Key("log.retention.hours", INT, 168, at_least(-1), "The same in hours, if neither is set."),
    Key("log.roll.ms", LONG, None, at_least(1), "Default of segment.ms.", CLUSTER),
    Key("log.roll.hours", INT, 168, at_least(1), "The same in hours, if log.roll.ms is not set."),
    Key("log.roll.jitter.ms", LONG, None, at_least(0), "Default of segment.jitter.ms.", CLUSTER),
    Key("log.roll.jitter.hours", INT, 0, at_least(0), "The same in hours, if log.roll.jitter.ms is not set."),
    Key("min.insync.replicas", INT, 1, at_least(1), "Default of min.insync.replicas.", CLUSTER),
    Key("unclean.leader.election.enable", BOOLEAN, False, anything(), "Default of the topic's.", CLUSTER),
    Key("remote.log.storage.system.enable", BOOLEAN, False, anything(), "Tiered storage.", effect=False),
)

CLEANER = (
    Key("log.cleaner.enable", BOOLEAN, True, anything(), "Whether compacted topics are compacted."),
    Key("log.cleaner.threads", INT, 1, at_least(0), "One worker compacts.", CLUSTER, effect=False),
    Key("log.cleaner.dedupe.buffer.size", LONG, 134_217_728, at_least(0), "Memory for keys.", CLUSTER),
    Key("log.cleaner.io.buffer.size", INT, 524_288, at_least(0), "Memory for reading.", CLUSTER, effect=False),
    Key("log.cleaner.io.buffer.load.factor", DOUBLE, 0.9, at_least(0), "Share that keys may fill.", CLUSTER),
    Key("log.cleaner.io.max.bytes.per.second", DOUBLE, MAX_DOUBLE, at_least(0), "Read and written.", CLUSTER),
    Key("log.cleaner.backoff.ms", LONG, 15_000, at_least(0), "Pause when nothing is to be done.", CLUSTER),
    Key("log.cleaner.delete.retention.ms", LONG, 86_400_000, at_least(0), "Default of delete.retention.ms.", CLUSTER),
    Key("log.cleaner.max.compaction.lag.ms", LONG, MAX_LONG, at_least(1), "Default of max.compaction.lag.ms.", CLUSTER),
    Key("log.cleaner.min.compaction.lag.ms", LONG, 0, at_least(0), "Default of min.compaction.lag.ms.", CLUSTER),
    Key("log.cleaner.min.cleanable.ratio", DOUBLE, 0.5, between(0, 1), "Default of the topic's.", CLUSTER),
)

REPLICATION = (
    Key("replica.lag.time.max.ms", LONG, 30_000, at_least(1), "Time behind after which a replica leaves the ISR."),
    Key("replica.socket.timeout.ms", INT, 30_000, at_least(1), "How long a follower waits for its leader."),
    Key("replica.socket.receive.buffer.bytes", INT, 65_536, at_least(-1), "SO_RCVBUF.", effect=False),
    Key("replica.fetch.max.bytes", INT, 1_048_576, at_least(0), "Bytes that a follower asks of one partition."),
    Key("replica.fetch.wait.max.ms", INT, 500, at_least(0), "How long a leader may wait for records to send."),
    Key("replica.fetch.min.bytes", INT, 1, at_least(0), "Bytes for which it waits."),
    Key("replica.fetch.response.max.bytes", INT, 10_485_760, at_least(0), "Bytes that a follower asks in one fetch."),
    Key("replica.fetch.backoff.ms", INT, 1000, at_least(0), "Pause of a partition after an error."),
    Key("num.replica.fetchers", INT, 1, at_least(1), "Lines to each leader.", CLUSTER),
    Key("replica.high.watermark.checkpoint.interval.ms", LONG, 5000, at_least(0), "How often they are written."),
    Key("replica.selector.class", CLASS, None, anything(), "Which replica a consumer reads (KIP-392).", effect=False),
    Key("num.replica.alter.log.dirs.threads", INT, None, at_least(1), "One event loop.", effect=False),
    Key("fetch.purgatory.purge.interval.requests", INT, 1000, at_least(0), "Nothing to purge.", effect=False),
    Key("producer.purgatory.purge.interval.requests", INT, 1000, at_least(0), "Nothing to purge.", effect=False),
    Key("delete.records.purgatory.purge.interval.requests", INT, 1, at_least(0), "Nothing to purge.", effect=False),
)

LOG_KEYS: tuple[Key, ...] = (*LOG, *CLEANER, *REPLICATION)
