"""Apache's own layouts of groups: what ``kafka-consumer-groups.sh`` prints (ConsumerGroupCommand, 3.9)."""

from collections.abc import Iterator, Sequence

from kops.cluster.changes import Step
from kops.cluster.groups import Group, Listed, Member
from kops.cluster.lag import GroupLag, Lag

_RESET = "{:<30} {:<30} {:<10} {:<15}"


def names(found: Sequence[Listed]) -> Iterator[str]:
    for one in found:
        yield one.id


def names_with_states(found: Sequence[Listed]) -> Iterator[str]:
    """Lines of ``--list --state``."""
    width = max((len(one.id) for one in found), default=15)
    lines = [("GROUP", "STATE"), *((one.id, one.state) for one in found)]
    for name, state in lines:
        yield f"{name:<{max(width, 25)}} {state:<20}"


def names_with_types(found: Sequence[Listed]) -> Iterator[str]:
    """Lines of ``--list --type``."""
    width = max((len(one.id) for one in found), default=15)
    for name, kind in (("GROUP", "TYPE"), *((one.id, one.kind.capitalize()) for one in found)):
        yield f"{name:<{max(width, 25)}} {kind:<20}"


def offsets(found: Sequence[GroupLag]) -> Iterator[str]:
    """Lines of ``--describe`` (``--offsets``)."""
    for one in found:
        yield from _nobody(one.group)
        yield ""
        yield from _offsets(one.partitions)


def _offsets(partitions: Sequence[Lag]) -> Iterator[str]:
    group, topic, member, host = 15, 15, 15, 15
    for one in partitions:
        group, topic = max(group, len(one.group)), max(topic, len(one.position.topic))
        if one.owner:
            member, host = max(member, len(one.owner.id)), max(host, len(one.owner.host))
    form = f"{{:<{group}}} {{:<{topic}}} {{:<10}} {{:<15}} {{:<15}} {{:<15}} {{:<{member}}} {{:<{host}}} {{}}"
    yield form.format(
        *("GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID")
    )
    for one in partitions:
        owner = (one.owner.id, one.owner.host, one.owner.client_id) if one.owner else ("-", "-", "-")
        numbers = ["-" if each is None else each for each in (one.committed, one.end, one.lag)]
        yield form.format(one.group, one.position.topic, one.position.partition, *numbers, *owner)


def members(found: Sequence[Group], *, verbose: bool = False) -> Iterator[str]:
    """Lines of ``--describe --members`` (``--verbose``), a table for each group."""
    for one in found:
        yield from _nobody(one)
        yield from _members(one, verbose)


def _members(one: Group, verbose: bool) -> Iterator[str]:
    group, member, instance, host, client = max(15, len(one.id)), 15, 17, 15, 15
    for each in one.members:
        member, host = max(member, len(each.id)), max(host, len(each.host))
        client, instance = max(client, len(each.client_id)), max(instance, len(each.instance_id or ""))
    static = any(each.instance_id for each in one.members)
    between = f" {{:<{instance}}}" if static else ""
    form = f"{{:<{group}}} {{:<{member}}}{between} {{:<{host}}} {{:<{client}}} {{:<15}} {{}}"
    named = ["GROUP-INSTANCE-ID"] if static else []
    yield ""
    yield form.format(
        *("GROUP", "CONSUMER-ID", *named, "HOST", "CLIENT-ID", "#PARTITIONS", "ASSIGNMENT" if verbose else "")
    )
    for each in one.members:
        named = [each.instance_id or ""] if static else []
        assigned = _assigned(each) if verbose else ""
        yield form.format(one.id, each.id, *named, each.host, each.client_id, len(each.assigned), assigned)


def _assigned(member: Member) -> str:
    """The partitions of each topic. 3.9 leaves the topics' names out, and sorts the numbers as text."""
    topics: dict[str, list[str]] = {}
    for position in member.assigned:
        topics.setdefault(position.topic, []).append(str(position.partition))
    return ", ".join(sorted(f"({','.join(sorted(numbers))})" for numbers in topics.values())) or "-"


def states(found: Sequence[Group]) -> Iterator[str]:
    """Lines of ``--describe --state``."""
    for one in found:
        coordinator = f"{one.coordinator.address}  ({one.coordinator.id})"
        form = f"{{:<{max(25, len(one.id))}}} {{:<{max(25, len(coordinator))}}} {{:<20}} {{:<15}} {{}}"
        yield from _nobody(one)
        yield ""
        yield form.format("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS")
        yield form.format(one.id, coordinator, one.protocol, one.state, len(one.members))


def _nobody(one: Group) -> Iterator[str]:
    if not one.members:
        yield ""
        yield f"Consumer group '{one.id}' has no active members."


def reset(steps: Sequence[Step]) -> Iterator[str]:
    """Lines of ``--reset-offsets``."""
    yield ""
    yield _RESET.format("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET")
    for step in steps:
        if step.target is not None:
            yield _RESET.format(step.group, step.position.topic, step.position.partition, step.target)


def deleted(found: Sequence[Listed]) -> Iterator[str]:
    if found:
        listed = ", ".join(f"'{one.id}'" for one in found)
        yield f"Deletion of requested consumer groups ({listed}) was successful."


def offsets_deleted(steps: Sequence[Step]) -> Iterator[str]:
    """Lines of ``--delete-offsets``."""
    yield ""
    yield "{:<30} {:<15} {:<15}".format("TOPIC", "PARTITION", "STATUS")
    for step in steps:
        yield f"{step.position.topic:<30} {step.position.partition:<15} {'Successful':<15}"
