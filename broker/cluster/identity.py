"""Who this broker is: what its directories remember against its settings and ZooKeeper (KafkaServer.startup)."""

from __future__ import annotations

from collections.abc import Sequence


class WrongIdentity(Exception):
    """The directories belong to another broker or another cluster; ``todo`` says what can be done."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.todo = todo


def check_cluster_id(of_zookeeper: str, remembered: Sequence[str | None]) -> None:
    """Raises WrongIdentity when a directory was written for another cluster (KAFKA-7335)."""
    for cluster_id in remembered:
        if cluster_id is not None and cluster_id != of_zookeeper:
            raise WrongIdentity(
                f"The Cluster ID {of_zookeeper} doesn't match stored clusterId Some({cluster_id}) in meta.properties. "
                "The broker is trying to join the wrong cluster. Configured zookeeper.connect may be wrong.",
                "Correct zookeeper.connect (and its chroot), or name other log.dirs; "
                "if that ZooKeeper was emptied on purpose, empty log.dirs too.",
            )


def decide_broker_id(configured: int, remembered: Sequence[int | None]) -> int | None:
    """The id to run with; None: neither settings nor directories say, take one from ZooKeeper.

    Raises WrongIdentity when they disagree.
    """
    for broker_id in remembered:
        if broker_id is not None and configured >= 0 and broker_id != configured:
            raise WrongIdentity(
                f"Configured broker.id {configured} doesn't match stored broker.id {broker_id} in meta.properties.",
                f"Set broker.id={broker_id}, or name the log.dirs of broker {configured}; "
                "a new broker needs empty directories of its own.",
            )
    if configured >= 0:
        return configured
    return next((broker_id for broker_id in remembered if broker_id is not None), None)
