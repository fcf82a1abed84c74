"""Directories of topics that are no more, set aside once a controller is heard of (LogManager.addStrayLog).

A topic's id tells an earlier topic of the same name apart, with every LeaderAndIsr. Where a directory has none (it was
written below inter.broker.protocol.version 2.8), its topic must at least be in ZooKeeper when the first request of a
controller comes: otherwise a topic of that name, created later, would begin with these records.
"""

from __future__ import annotations

import logging

from broker.host import LogDirFailed
from broker.replication.replicas import Replicas
from broker.storage.log import Log
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import Exists, Sync, ZkCode, ZkError

log = logging.getLogger(__name__)


async def set_strays_aside(replicas: Replicas, zk: ZooKeeperClient) -> None:
    """Look once; with ZooKeeper away nothing is done, and the next controller's first request makes us look again."""
    suspects = dict.fromkeys(each.topic for each in _without_id(replicas))
    try:
        _, *found = await zk.request([Sync(znodes.TOPICS), *(Exists(znodes.topic(topic)) for topic in suspects)])
    except ZkError as error:
        log.warning("stray directories: %s; looked for again with the next controller", error)
        return
    gone = {topic for topic, each in zip(suspects, found, strict=True) if each.code == ZkCode.NO_NODE}
    for each in _without_id(replicas):
        if each.topic in gone:
            try:
                replicas.logdirs.set_aside(each, "its topic is not in ZooKeeper")
            except LogDirFailed as error:
                log.warning("%s-%d: %s", each.topic, each.partition, error)


def _without_id(replicas: Replicas) -> list[Log]:
    """Logs that were found here, without a topic id, and that no controller has asked for."""
    dirs = replicas.logdirs
    return [
        each
        for each in (*dirs.logs(), *dirs.futures.logs())
        if each.topic_id is None and replicas.get(each.topic, each.partition) is None
    ]
