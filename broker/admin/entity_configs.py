"""Settings of an entity in ZooKeeper: read, replace, change (kafka.zk.AdminZkClient.changeEntityConfig).

An entity is named by its path below ``/config``: ``topics/orders``, ``brokers/1``, ``brokers/<default>``.
"""

from __future__ import annotations

from collections.abc import Callable

from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import Create, CreateMode, GetData, Result, SetData, ZkCode

Settings = dict[str, str]


async def read_entity(zk: ZooKeeperClient, entity: str) -> Settings:
    """Empty if there is nothing. Raises ZkError, MalformedZnode."""
    [found] = await zk.request([GetData(znodes.config_path(entity))])
    return _settings(found)


async def change_entity(zk: ZooKeeperClient, entity: str, change: Callable[[Settings], Settings]) -> Settings:
    """Replace the settings by ``change(settings)`` and notify every broker; returns the new ones.

    Two changes at a time do not undo each other: the write is conditional, and ``change`` is asked again.
    Raises ZkError, and what ``change`` raises (then nothing was written).
    """
    while True:
        [found] = await zk.request([GetData(znodes.config_path(entity))])
        settings = change(_settings(found))
        if await _write(zk, entity, settings, found):
            break
    notice = Create(znodes.CONFIG_CHANGE_PREFIX, znodes.encode_config_change(entity), CreateMode.SEQUENTIAL)
    [noticed] = await zk.request([notice])
    noticed.or_raise()
    return settings


def _settings(found: Result) -> Settings:
    return {} if found.code == ZkCode.NO_NODE else znodes.decode_config(found.or_raise().data)


async def _write(zk: ZooKeeperClient, entity: str, settings: Settings, found: Result) -> bool:
    """False if somebody else was faster since ``found`` was read."""
    path, payload = znodes.config_path(entity), znodes.encode_config(settings)
    if found.ok:
        [written] = await zk.request([SetData(path, payload, found.version)])
    else:
        creates = [Create(parent) for parent in znodes.parents(path)]
        written = (await zk.request([*creates, Create(path, payload)]))[-1]
    if written.code in (ZkCode.BAD_VERSION, ZkCode.NO_NODE, ZkCode.NODE_EXISTS):
        return False
    written.or_raise()
    return True
