"""The controller's shell: event queue, ZooKeeper round trips, effects (KafkaController, ControllerEventManager).

One event is finished, its conversation with ZooKeeper included, before the next begins. The loss of the session alone
overtakes: the running transition is closed, the queue cleared, the controller resigns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from broker.cluster.ibp import Ibp
from broker.cluster.peers import Peers
from broker.controller.state import TopicPartition
from broker.host import Host
from broker.zk.operations import WatchKind

if TYPE_CHECKING:
    from broker.config import KafkaConfig
    from broker.wire.errors import ErrorCode
    from broker.wire.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
    from broker.wire.messages.alter_partition import AlterPartitionRequest, AlterPartitionResponse
    from broker.zk.client import ZooKeeperClient


class Controller:
    """Every broker has one; at most one of them is active.

    ``broker/broker.py`` connects it: ``on_watch`` gets every watch event of the session (other paths are ignored),
    ``on_session_expired`` is called before a new session begins, and ``on_session_established`` after this broker has
    registered itself in the new one.
    """

    def __init__(
        self,
        config: KafkaConfig,
        host: Host,
        zk: ZooKeeperClient,
        peers: Peers,
        ibp: Ibp,
    ) -> None: ...

    controller_id: int
    """Who is controller as far as this broker read from /controller; -1 nobody or not known."""

    @property
    def is_active(self) -> bool:
        """This broker is the controller."""
        raise NotImplementedError

    @property
    def epoch(self) -> int:
        """The controller epoch while active, else 0."""
        raise NotImplementedError

    async def start(self) -> None:
        """Begin: watch /controller and stand for election. Call after this broker registered itself."""

    async def stop(self) -> None:
        """Resign, leave /controller to others, and end."""

    def on_watch(self, path: str, kind: WatchKind) -> None:
        """Every watch event of the session; those of other paths are ignored."""

    def on_session_expired(self) -> None:
        """Overtakes everything: resign at once."""

    def on_session_established(self) -> None:
        """After this broker registered itself in a new session: stand for election again."""

    def is_marked_for_deletion(self, topic: str) -> bool:
        """Queued for deletion at this (active) controller."""
        raise NotImplementedError

    async def elect_leaders(
        self, partitions: Sequence[tuple[str, int]] | None, election_type: int
    ) -> dict[TopicPartition, tuple[ErrorCode, str | None]]:
        """ElectLeaders; 0 preferred, 1 unclean; None: all partitions. Raises KafkaError NOT_CONTROLLER."""
        raise NotImplementedError

    async def controlled_shutdown(self, broker_id: int, broker_epoch: int) -> tuple[TopicPartition, ...]:
        """Move leadership off a broker; answers what it still leads. Raises KafkaError (77, 8, 41)."""
        raise NotImplementedError

    async def alter_partition(self, request: AlterPartitionRequest, version: int) -> AlterPartitionResponse:
        """Errors are in the response, NOT_CONTROLLER too."""
        raise NotImplementedError

    async def allocate_producer_ids(self, request: AllocateProducerIdsRequest) -> AllocateProducerIdsResponse:
        """Errors are in the response, NOT_CONTROLLER too."""
        raise NotImplementedError
