"""A reply that says the same error of everything a request asked for (AbstractRequest.getErrorResponse of each API).

Replies with an error code at the top get it there. Where errors stand per topic, partition or resource, a row below
says which list of the request is mirrored into which list of the reply, and which fields name the element.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final, NamedTuple

from broker.wire import codec
from broker.wire.keys import ApiKey
from broker.wire.schema import Array, Kind, shape_of


class Mirror(NamedTuple):
    """``source`` list of the request (``a.b``: all b of all a) becomes ``target`` list of the reply.

    ``names``: reply field -> request field; "" stands for the element itself, where a list holds plain values.
    ``offset``: the reply field that says -1, as there is no offset.
    """

    source: str
    target: str
    names: dict[str, str]
    inner: Mirror | None = None
    offset: str | None = None


def _partitions(source: str = "partitions", target: str = "partitions", name: str = "") -> Mirror:
    return Mirror(source, target, {"partition_index": name})


_TOPICS_OF_INTS = Mirror("topics", "topics", {"name": "name"}, _partitions("partition_indexes"))
_TOPICS = Mirror("topics", "topics", {"name": "name"}, _partitions(name="partition_index"))
_RESOURCE = {"resource_type": "resource_type", "resource_name": "resource_name"}

_MIRRORS: Final = MappingProxyType(
    {
        ApiKey.PRODUCE: (
            Mirror(
                "topic_data",
                "responses",
                {"name": "name"},
                Mirror("partition_data", "partition_responses", {"index": "index"}, offset="base_offset"),
            ),
        ),
        ApiKey.FETCH: (
            Mirror("topics", "responses", {"topic": "topic", "topic_id": "topic_id"}, _partitions(name="partition")),
        ),
        ApiKey.LIST_OFFSETS: (_TOPICS,),
        ApiKey.METADATA: (Mirror("topics", "topics", {"name": "name", "topic_id": "topic_id"}),),
        ApiKey.OFFSET_COMMIT: (_TOPICS,),
        ApiKey.OFFSET_FETCH: (_TOPICS_OF_INTS, Mirror("groups", "groups", {"group_id": "group_id"})),
        ApiKey.FIND_COORDINATOR: (Mirror("coordinator_keys", "coordinators", {"key": ""}),),
        ApiKey.DESCRIBE_GROUPS: (Mirror("groups", "groups", {"group_id": ""}),),
        ApiKey.CREATE_TOPICS: (Mirror("topics", "topics", {"name": "name"}),),
        ApiKey.DELETE_TOPICS: (
            Mirror("topics", "responses", {"name": "name", "topic_id": "topic_id"}),
            Mirror("topic_names", "responses", {"name": ""}),
        ),
        ApiKey.DELETE_RECORDS: (_TOPICS,),
        ApiKey.OFFSET_FOR_LEADER_EPOCH: (
            Mirror(
                "topics", "topics", {"topic": "topic"}, Mirror("partitions", "partitions", {"partition": "partition"})
            ),
        ),
        ApiKey.ADD_PARTITIONS_TO_TXN: (
            Mirror(
                "v3_and_below_topics",
                "results_by_topic_v3_and_below",
                {"name": "name"},
                _partitions(target="results_by_partition"),
            ),
        ),
        ApiKey.WRITE_TXN_MARKERS: (Mirror("markers", "markers", {"producer_id": "producer_id"}, _TOPICS_OF_INTS),),
        ApiKey.TXN_OFFSET_COMMIT: (_TOPICS,),
        ApiKey.CREATE_ACLS: (Mirror("creations", "results", {}),),
        ApiKey.DELETE_ACLS: (Mirror("filters", "filter_results", {}),),
        ApiKey.DESCRIBE_CONFIGS: (Mirror("resources", "results", _RESOURCE),),
        ApiKey.ALTER_CONFIGS: (Mirror("resources", "responses", _RESOURCE),),
        ApiKey.INCREMENTAL_ALTER_CONFIGS: (Mirror("resources", "responses", _RESOURCE),),
        ApiKey.ALTER_REPLICA_LOG_DIRS: (Mirror("dirs.topics", "results", {"topic_name": "name"}, _partitions()),),
        ApiKey.CREATE_PARTITIONS: (Mirror("topics", "results", {"name": "name"}),),
        ApiKey.DELETE_GROUPS: (Mirror("groups_names", "results", {"group_id": ""}),),
        ApiKey.ELECT_LEADERS: (
            Mirror(
                "topic_partitions",
                "replica_election_results",
                {"topic": "topic"},
                Mirror("partitions", "partition_result", {"partition_id": ""}),
            ),
        ),
        ApiKey.ALTER_CLIENT_QUOTAS: (
            Mirror(
                "entries",
                "entries",
                {},
                Mirror("entity", "entity", {"entity_type": "entity_type", "entity_name": "entity_name"}),
            ),
        ),
        ApiKey.ALTER_USER_SCRAM_CREDENTIALS: (
            Mirror("deletions", "results", {"user": "name"}),
            Mirror("upsertions", "results", {"user": "name"}),
        ),
        ApiKey.DESCRIBE_PRODUCERS: (_TOPICS_OF_INTS,),
        ApiKey.DESCRIBE_TRANSACTIONS: (Mirror("transactional_ids", "transaction_states", {"transactional_id": ""}),),
        ApiKey.CONSUMER_GROUP_DESCRIBE: (Mirror("group_ids", "groups", {"group_id": ""}),),
    }
)


def error_reply(api_key: int, version: int, request: Any, code: int, message: str | None = None) -> Any:
    """The reply to ``request`` in which everything failed with ``code``."""
    reply = codec.response_class(api_key)()
    _mark(reply, version, code, message)
    if not _is_by_session(api_key, version):
        for mirror in _MIRRORS.get(ApiKey(api_key), ()):
            _reflect(mirror, request, reply, version, code, message)
    return reply


def _is_by_session(api_key: int, version: int) -> bool:
    """Fetch since version 7 says an error of the whole in one place (KIP-227)."""
    return api_key == ApiKey.FETCH and version >= 7


def _mark(reply: Any, version: int, code: int, message: str | None) -> None:
    """Put the error into the fields of ``reply`` that are there for it."""
    for field in shape_of(type(reply)).fields:
        if not field.in_version(version):
            continue
        if field.name in ("error_code", "partition_error_code"):
            setattr(reply, field.name, int(code))
        elif field.name == "error_message":
            setattr(reply, field.name, message)


def _reflect(mirror: Mirror, request: Any, reply: Any, version: int, code: int, message: str | None) -> None:
    target = getattr(reply, mirror.target)
    for element in _elements(request, mirror.source):
        made = _element(reply, mirror.target)
        _mark(made, version, code, message)
        if mirror.offset is not None:
            setattr(made, mirror.offset, -1)
        nullable = [field.name for field in shape_of(type(made)).fields if field.is_nullable(version)]
        for name, source in mirror.names.items():
            value = getattr(element, source) if source else element
            if value is not None or name in nullable:
                setattr(made, name, value)
        if mirror.inner is not None:
            _reflect(mirror.inner, element, made, version, code, message)
        target.append(made)


def _elements(request: Any, path: str) -> list[Any]:
    found = [request]
    for name in path.split("."):
        found = [each for outer in found for each in getattr(outer, name) or ()]
    return found


def _element(reply: Any, target: str) -> Any:
    """A new element of a list of ``reply``."""
    (type_,) = (field.type for field in shape_of(type(reply)).fields if field.name == target)
    assert isinstance(type_, Array) and not isinstance(type_.element, Kind)
    return type_.element()
