"""Access rules that name exactly one topic (AclCommand, by admin API)."""

from dataclasses import dataclass
from typing import Any

from kops.session import Session

_TOPIC, _LITERAL, _ANY = 2, 3, 1
_SECURITY_DISABLED = 54


@dataclass(frozen=True, slots=True)
class TopicAcls:
    """``rules`` in words. ``authorizer``: whether the brokers have one; ``unknown``: why they did not tell."""

    rules: tuple[str, ...] = ()
    authorizer: bool = False
    unknown: str = ""


def of_topic(session: Session, topic: str) -> TopicAcls:
    """Never raises for what a broker refuses: that is ``unknown``."""
    from kafka.errors import IncompatibleBrokerVersion, KafkaError, UnsupportedVersionError, for_code
    from kafka.protocol.admin import DescribeAclsRequest

    try:
        answer = session.send(DescribeAclsRequest(**_filter(topic)))
    except (IncompatibleBrokerVersion, UnsupportedVersionError):
        return TopicAcls()
    except KafkaError as error:
        return TopicAcls(unknown=type(error).__name__)
    if answer.error_code == _SECURITY_DISABLED:
        return TopicAcls()
    if answer.error_code:
        return TopicAcls(authorizer=True, unknown=for_code(answer.error_code).__name__)
    found = [_told(acl) for resource in answer.resources for acl in resource.acls]
    return TopicAcls(tuple(found), authorizer=True)


def delete(session: Session, topic: str) -> int:
    """Delete the rules; how many there were. Raises kafka.errors."""
    from kafka.errors import for_code
    from kafka.protocol.admin import DeleteAclsRequest

    answer = session.send(DeleteAclsRequest(filters=[DeleteAclsRequest.DeleteAclsFilter(**_filter(topic))]))
    count = 0
    for result in answer.filter_results:
        if result.error_code:
            raise for_code(result.error_code)(result.error_message)
        for matching in result.matching_acls:
            if matching.error_code:
                raise for_code(matching.error_code)(matching.error_message)
            count += 1
    return count


def _filter(topic: str) -> dict[str, Any]:
    return {
        "resource_type_filter": _TOPIC,
        "resource_name_filter": topic,
        "pattern_type_filter": _LITERAL,
        "principal_filter": None,
        "host_filter": None,
        "operation": _ANY,
        "permission_type": _ANY,
    }


def _told(acl: Any) -> str:
    from kafka.protocol.admin import ACLOperation, ACLPermissionType

    return (
        f"{ACLPermissionType(acl.permission_type).name.lower()} {ACLOperation(acl.operation).name.lower()} "
        f"to {acl.principal} from {acl.host}"
    )
