"""Who shall lead: the five strategies, pure (kafka.controller.Election, PartitionLeaderElectionAlgorithms).

Each takes what is known of a partition and answers the new leadership with the next leader epoch, or None where nobody
qualifies. Leaders come from the ISR, whose members have every acknowledged record; the unclean election alone takes
another, and gives up records for availability. The order of the assignment decides among equals, so that leadership
goes where the operator placed it. The ISR is never emptied: its last member is the only one known to have everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from broker.controller.state import RECOVERING, ControllerContext, Leadership, TopicPartition


class Strategy(NamedTuple):
    """How to elect. ``unclean_by_admin``: an ElectLeaders UNCLEAN request, which overrides the topic's setting."""

    name: str
    unclean_by_admin: bool = False


OFFLINE = Strategy("offline partition")
UNCLEAN = Strategy("unclean by admin", unclean_by_admin=True)
PREFERRED = Strategy("preferred leader")
CONTROLLED_SHUTDOWN = Strategy("controlled shutdown")
REASSIGN = Strategy("reassignment")


class Elected(NamedTuple):
    """``recipients``: the brokers that get LeaderAndIsr."""

    leadership: Leadership
    recipients: tuple[int, ...]


def offline(
    replicas: Sequence[int],
    current: Leadership,
    is_online: Callable[[int], bool],
    *,
    unclean: bool,
    recovery_supported: bool,
) -> Elected | None:
    """The first online replica in the ISR; failing that, if ``unclean``, the first online one, alone in the ISR."""
    online = tuple(broker for broker in replicas if is_online(broker))
    leader = next((broker for broker in online if broker in current.isr), None)
    if leader is not None:
        isr = tuple(broker for broker in current.isr if is_online(broker))
        return Elected(current.led_by(leader, isr), online)
    if not unclean or not online:
        return None
    elected = current.led_by(online[0], (online[0],))
    return Elected(elected._replace(recovery_state=RECOVERING) if recovery_supported else elected, online)


def preferred(replicas: Sequence[int], current: Leadership, is_online: Callable[[int], bool]) -> Elected | None:
    """The first replica of the assignment, if it is online and in sync; the ISR stays."""
    leader = replicas[0]
    if not is_online(leader) or leader not in current.isr:
        return None
    return Elected(current.led_by(leader, current.isr), tuple(replicas))


def reassign(target: Sequence[int], current: Leadership, is_online: Callable[[int], bool]) -> Elected | None:
    """The first target replica that is online and in sync; the ISR stays."""
    leader = next((broker for broker in target if is_online(broker) and broker in current.isr), None)
    return None if leader is None else Elected(current.led_by(leader, current.isr), tuple(target))


def controlled_shutdown(
    replicas: Sequence[int],
    current: Leadership,
    is_online_or_shutting_down: Callable[[int], bool],
    is_shutting_down: Callable[[int], bool],
) -> Elected | None:
    """The first replica in sync that stays; those on their way out leave the ISR, but hear of it."""
    reachable = tuple(broker for broker in replicas if is_online_or_shutting_down(broker))
    isr = tuple(broker for broker in current.isr if not is_shutting_down(broker))
    leader = next((broker for broker in reachable if broker in isr), None)
    return None if leader is None else Elected(current.led_by(leader, isr), reachable)


def elect(
    context: ControllerContext,
    strategy: Strategy,
    partition: TopicPartition,
    current: Leadership,
    *,
    unclean: bool,
    recovery_supported: bool,
) -> Elected | None:
    """The strategy applied to what the controller knows. ``unclean``: the topic's setting."""
    assignment = context.assignment(partition)
    replicas = assignment.replicas

    def is_online(broker: int) -> bool:
        return context.is_online(broker, partition)

    if strategy is PREFERRED:
        return preferred(replicas, current, is_online)
    if strategy is REASSIGN:
        target = tuple(broker for broker in replicas if broker not in assignment.removing)
        return reassign(target, current, is_online)
    if strategy is CONTROLLED_SHUTDOWN:
        return controlled_shutdown(
            replicas,
            current,
            lambda broker: broker in context.live and partition not in context.offline_dirs.get(broker, ()),
            context.shutting_down.__contains__,
        )
    may_come_back = any(broker in context.suspected for broker in current.isr)
    return offline(
        replicas,
        current,
        is_online,
        unclean=(unclean and not may_come_back) or strategy.unclean_by_admin,
        recovery_supported=recovery_supported,
    )
