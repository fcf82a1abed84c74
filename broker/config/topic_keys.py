"""One row per topic setting (TopicConfig, LogConfig of Kafka 3.9)."""

from __future__ import annotations

from broker.config.keys import MAX_LONG, Check, Key, Kind, Synonym, anything, at_least, between, each_of, one_of

COMPRESSION_TYPES = ("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")
NEVER = Check("false", lambda value: value is False)


def _key(
    name: str,
    kind: Kind,
    default: object,
    check: Check,
    doc: str,
    *synonyms: str | Synonym,
    effect: bool = True,
) -> Key:
    named = tuple(Synonym(synonym) if isinstance(synonym, str) else synonym for synonym in synonyms)
    return Key(name, kind, default, check, doc, effect=effect, synonyms=named)


TOPIC_KEYS: tuple[Key, ...] = (
    _key(
        "cleanup.policy",
        Kind.LIST,
        ("delete",),
        each_of("compact", "delete"),
        "What becomes of old segments: deleted by age and size, compacted by key, or both.",
        "log.cleanup.policy",
    ),
    _key(
        "compression.type",
        Kind.STRING,
        "producer",
        one_of(*COMPRESSION_TYPES),
        "Codec in which batches are kept; producer keeps them as they came.",
        "compression.type",
    ),
    _key("compression.gzip.level", Kind.INT, -1, between(-1, 9), "Level of gzip.", "compression.gzip.level"),
    _key("compression.lz4.level", Kind.INT, 9, between(1, 17), "Level of lz4.", "compression.lz4.level"),
    _key("compression.zstd.level", Kind.INT, 3, between(-131072, 22), "Level of zstd.", "compression.zstd.level"),
    _key(
        "delete.retention.ms",
        Kind.LONG,
        86_400_000,
        at_least(0),
        "How long a compacted topic keeps its tombstones.",
        "log.cleaner.delete.retention.ms",
    ),
    _key(
        "file.delete.delay.ms",
        Kind.LONG,
        60_000,
        at_least(0),
        "How long a deleted file stays before it is removed.",
        "log.segment.delete.delay.ms",
    ),
    _key(
        "flush.messages",
        Kind.LONG,
        MAX_LONG,
        at_least(1),
        "Records after which a log is forced to disk.",
        "log.flush.interval.messages",
    ),
    _key(
        "flush.ms",
        Kind.LONG,
        MAX_LONG,
        at_least(0),
        "Time after which a log is forced to disk.",
        "log.flush.interval.ms",
        "log.flush.scheduler.interval.ms",
    ),
    _key(
        "follower.replication.throttled.replicas",
        Kind.LIST,
        (),
        anything(),
        "Replicas (partition:broker, or *) whose fetching is throttled.",
    ),
    _key(
        "index.interval.bytes", Kind.INT, 4096, at_least(0), "Bytes between index entries.", "log.index.interval.bytes"
    ),
    _key(
        "leader.replication.throttled.replicas",
        Kind.LIST,
        (),
        anything(),
        "Replicas (partition:broker, or *) whose serving is throttled.",
    ),
    _key("local.retention.bytes", Kind.LONG, -2, at_least(-2), "Tiered storage only.", "log.local.retention.bytes"),
    _key("local.retention.ms", Kind.LONG, -2, at_least(-2), "Tiered storage only.", "log.local.retention.ms"),
    _key(
        "max.compaction.lag.ms",
        Kind.LONG,
        MAX_LONG,
        at_least(1),
        "Longest time that a record stays out of compaction.",
        "log.cleaner.max.compaction.lag.ms",
    ),
    _key("max.message.bytes", Kind.INT, 1_048_588, at_least(0), "Largest batch that is taken.", "message.max.bytes"),
    _key(
        "message.downconversion.enable",
        Kind.BOOLEAN,
        True,
        anything(),
        "Whether batches are converted for old consumers.",
        "log.message.downconversion.enable",
    ),
    _key(
        "message.format.version",
        Kind.STRING,
        "3.0-IV1",
        anything(),
        "Deprecated by Kafka 3.0; record format v2 is always written.",
        "log.message.format.version",
    ),
    _key(
        "message.timestamp.after.max.ms",
        Kind.LONG,
        MAX_LONG,
        at_least(0),
        "How far in the future a record's timestamp may lie.",
        "log.message.timestamp.after.max.ms",
    ),
    _key(
        "message.timestamp.before.max.ms",
        Kind.LONG,
        MAX_LONG,
        at_least(0),
        "How far in the past a record's timestamp may lie.",
        "log.message.timestamp.before.max.ms",
    ),
    _key(
        "message.timestamp.difference.max.ms",
        Kind.LONG,
        MAX_LONG,
        at_least(0),
        "How far from the broker's clock a record's timestamp may lie (deprecated by KIP-937).",
        "log.message.timestamp.difference.max.ms",
    ),
    _key(
        "message.timestamp.type",
        Kind.STRING,
        "CreateTime",
        one_of("CreateTime", "LogAppendTime"),
        "Whose clock stamps records.",
        "log.message.timestamp.type",
    ),
    _key(
        "min.cleanable.dirty.ratio",
        Kind.DOUBLE,
        0.5,
        between(0, 1),
        "Share of uncompacted bytes from which a log is compacted.",
        "log.cleaner.min.cleanable.ratio",
    ),
    _key(
        "min.compaction.lag.ms",
        Kind.LONG,
        0,
        at_least(0),
        "Shortest time that a record stays out of compaction.",
        "log.cleaner.min.compaction.lag.ms",
    ),
    _key(
        "min.insync.replicas",
        Kind.INT,
        1,
        at_least(1),
        "In-sync replicas without which acks=all is refused.",
        "min.insync.replicas",
    ),
    _key("preallocate", Kind.BOOLEAN, False, anything(), "Preallocate segment files.", "log.preallocate"),
    _key("remote.log.copy.disable", Kind.BOOLEAN, False, anything(), "Tiered storage only."),
    _key("remote.log.delete.on.disable", Kind.BOOLEAN, False, anything(), "Tiered storage only."),
    _key("remote.storage.enable", Kind.BOOLEAN, False, NEVER, "Tiered storage, which this broker does not have."),
    _key(
        "retention.bytes",
        Kind.LONG,
        -1,
        at_least(-1),
        "Bytes of a partition beyond which old segments are deleted; -1: no bound.",
        "log.retention.bytes",
    ),
    _key(
        "retention.ms",
        Kind.LONG,
        604_800_000,
        at_least(-1),
        "Age beyond which segments are deleted; -1: never.",
        "log.retention.ms",
        Synonym("log.retention.minutes", 60_000),
        Synonym("log.retention.hours", 3_600_000),
    ),
    _key("segment.bytes", Kind.INT, 2**30, at_least(14), "Size at which a segment is rolled.", "log.segment.bytes"),
    _key("segment.index.bytes", Kind.INT, 10_485_760, at_least(4), "Largest index file.", "log.index.size.max.bytes"),
    _key(
        "segment.jitter.ms",
        Kind.LONG,
        0,
        at_least(0),
        "Random share taken off segment.ms, so that logs do not roll together.",
        "log.roll.jitter.ms",
        Synonym("log.roll.jitter.hours", 3_600_000),
    ),
    _key(
        "segment.ms",
        Kind.LONG,
        604_800_000,
        at_least(1),
        "Age at which a segment is rolled.",
        "log.roll.ms",
        Synonym("log.roll.hours", 3_600_000),
    ),
    _key(
        "unclean.leader.election.enable",
        Kind.BOOLEAN,
        False,
        anything(),
        "Whether a replica outside the ISR may lead when no other is left; loses records.",
        "unclean.leader.election.enable",
    ),
)

TOPIC_KEY: dict[str, Key] = {key.name: key for key in TOPIC_KEYS}
