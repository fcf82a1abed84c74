"""Wires one broker together; starts and stops it in order; nothing else knows everybody (kafka.server.KafkaServer).

The order is a contract with the rest of the cluster (facts, section 0): directories locked, ZooKeeper, identity, logs
loaded, ports bound, registered, controller, and only then are requests handled. A graceful stop hands leadership over
first and ends the ZooKeeper session last, so that nobody elects this broker again while its logs are being closed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from broker.admin.auto_creation import OFFSETS_TOPIC, AutoTopicCreation
from broker.admin.configs import ConfigAdmin
from broker.admin.topics import TopicAdmin
from broker.api.families import FAMILIES
from broker.api.metadata import ReplyCache
from broker.api.services import Services
from broker.api.table import Table
from broker.cluster.controlled_shutdown import ControlledShutdown
from broker.cluster.ibp import Ibp
from broker.cluster.identity import WrongIdentity, check_cluster_id, decide_broker_id
from broker.cluster.metadata_cache import MetadataCache
from broker.cluster.peers import Peers
from broker.cluster.registration import (
    Registration,
    RegistrationRefused,
    generate_broker_id,
    make_skeleton,
    read_or_create_cluster_id,
)
from broker.config import EndPoint, KafkaConfig
from broker.controller.driver import Controller
from broker.coordinator.groups import GroupCoordinator
from broker.coordinator.internal_topic import InternalTopicShards
from broker.coordinator.producer_ids import ProducerIds, from_controller, from_zookeeper
from broker.host import Host
from broker.network.dispatch import Dispatcher
from broker.network.listener import SocketServer
from broker.replication.alter_partition import AlterPartitionChanges
from broker.replication.hosted import HostedPartition
from broker.replication.replicas import Replicas
from broker.replication.role_changes import RoleChanges
from broker.replication.zookeeper_isr import ZooKeeperChanges
from broker.settings import Settings
from broker.storage.logdirs import LogDirs, NoLogDirs
from broker.storage.room import has_room
from broker.strays import set_strays_aside
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import Create, CreateMode, SessionExpired, ZkError

log = logging.getLogger("kafka.server.KafkaServer")

_TO_BIND = {
    errno.EADDRINUSE: "Stop what uses that port (another broker, perhaps), or choose another one in listeners.",
    errno.EACCES: "This user may not listen there: choose a port from 1024 on in listeners.",
}

SESSION_FILE = "zookeeper.session"
LOOK_FOR_ROOM_SECONDS = 1.0
REGISTER_AGAIN_SECONDS = 1.0
STOP_SECONDS = 30.0


class StartupFailed(Exception):
    """The broker cannot start: ``what`` in one line, and what to do about it in another."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo


class KafkaServer:
    """One broker. ``halt(reason)`` must end the process at once, without :meth:`stop`: see Exit.halt.

    ``start_anew(dirs, at_once)``: their disks were full. At once, as the last ones; else they have room again.
    """

    def __init__(
        self,
        host: Host,
        config: KafkaConfig,
        halt: Callable[[str], None],
        start_anew: Callable[[tuple[str, ...], bool], None] | None = None,
    ) -> None:
        self._start_anew = start_anew
        self.host = host
        self.config = config
        self._halt = halt
        self._running = False
        self._wired = False
        self.registration: Registration | None = None
        self._background: dict[asyncio.Task[None], None] = {}
        self._stops: list[Callable[[], Awaitable[None]]] = []
        self.ibp = Ibp.of(config.inter_broker_protocol_version)
        self.metadata = MetadataCache()
        self.peers = Peers(host.net, host.clock)
        self.services = Services(config=config, host=host, table=Table.of(FAMILIES))

    # --- start -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises StartupFailed; :meth:`stop` then undoes what was done so far."""
        log.info("[KafkaServer id=%d] starting", self.config.broker_id)
        try:
            await self._open_directories()
            await self._join_zookeeper()
            await self._load_logs()
            self._wire()
            await self._bind()
            await self._register()
        except WrongIdentity as error:
            raise StartupFailed(str(error), error.todo) from error
        except NoLogDirs as error:
            todo = "Make a directory of log.dirs that this user may write to, with room on its disk, or name others."
            raise StartupFailed(str(error), todo) from error
        except RegistrationRefused as error:
            what, _, todo = str(error).partition(": ")
            raise StartupFailed(what, todo) from error
        except ZkError as error:
            raise StartupFailed(
                f"ZooKeeper at {self.config.zookeeper_connect} cannot be used: {error}",
                "Start ZooKeeper, or correct zookeeper.connect; then start the broker again.",
            ) from error
        self.settings.controller = self.controller
        self._serve()
        log.info("[KafkaServer id=%d] started", self.config.broker_id)

    async def _open_directories(self) -> None:
        """Step 1: nobody else may use them, and only whoever holds them may end the session of their last user."""
        self.logdirs = LogDirs(self.host, self.config, self._on_dir_failed, self._on_disk_failed)
        try:
            self._remembered = self.logdirs.lock_and_read_meta()
        except NoLogDirs:
            raise
        except ValueError as error:
            raise StartupFailed(str(error), "Stop the broker that uses it, or name other log.dirs.") from error

    async def _join_zookeeper(self) -> None:
        """Step 2: a session, the skeleton, the cluster's id and this broker's own."""
        config = self.config
        try:
            self.zk = ZooKeeperClient(
                self.host,
                config.zookeeper_connect,
                session_timeout_ms=config.zookeeper_session_timeout_ms,
                connection_timeout_ms=config.zookeeper_connection_timeout_ms,
                max_in_flight=config.zookeeper_max_in_flight_requests,
                secure_acl=config.zookeeper_set_acl,
                session_file=f"{self.logdirs.live_dirs[0]}/{SESSION_FILE}",
            )
        except ValueError as error:
            raise StartupFailed(str(error), "Correct zookeeper.connect; then start the broker again.") from error
        self._stops.append(self._close_peers)
        await self.zk.start()
        self._stops.append(self.zk.close)
        await make_skeleton(self.zk)
        self.services.cluster_id = await read_or_create_cluster_id(self.zk, self.host)
        log.info("Cluster ID = %s", self.services.cluster_id)
        check_cluster_id(self.services.cluster_id, [each.cluster_id for each in self._remembered])
        broker_id = decide_broker_id(config.broker_id, [each.broker_id for each in self._remembered])
        if broker_id is None:
            broker_id = await generate_broker_id(self.zk, config.reserved_broker_max_id)
        config.broker_id = broker_id
        await self.logdirs.write_meta(broker_id, self.services.cluster_id)

    async def _load_logs(self) -> None:
        """Step 3: with the settings of their topics, dynamic ones of this broker included."""
        self.settings = Settings(self.config, self.zk, self.host.clock, self.logdirs, self._spawn)
        await self.settings.dynamic.load_all_topics()
        try:
            await self.logdirs.load(self.settings.log_config)
        except ValueError as error:
            raise StartupFailed(
                str(error), "Correct log.dirs or what is in them; then start the broker again."
            ) from error
        self._stops.append(self.logdirs.stop)
        await self.settings.dynamic.start()
        self._stops.append(self.settings.dynamic.stop)

    def _wire(self) -> None:
        """Step 4: the parts, and what must go upward between them."""
        config, services = self.config, self.services
        self.controller = Controller(config, self.host, self.zk, self.peers, self.ibp)
        self._stops.append(self.controller.stop)
        self._wire_replication()
        self._wire_groups()
        self._wire_admin()
        services.logdirs, services.replicas, services.metadata = self.logdirs, self.replicas, self.metadata
        services.controller = self.controller
        services.metadata_replies = ReplyCache(self.metadata)
        services.load_topic_settings = self.settings.load_topics
        self.zk.subscribe(established=self._on_session_established)
        self._wired = True

    def _wire_replication(self) -> None:
        host, config = self.host, self.config
        self.replicas = Replicas(
            config,
            self.ibp,
            host,
            self.logdirs,
            self.metadata,
            self.peers,
            self.settings.log_config,
            broker_epoch=self._broker_epoch,
            on_dir_failed=self._tell_controller_of,
            on_dropped=self._on_dropped,
        )
        self._stops.append(self.replicas.stop)
        self.settings.on_fetchers = self.replicas.fetchers.resized
        perform = self.replicas.perform
        changes: AlterPartitionChanges | ZooKeeperChanges
        if self.ibp.alter_partition:
            changes = AlterPartitionChanges(
                config, self.ibp, host.clock, self.peers, self.metadata, self._broker_epoch, perform
            )
        else:
            changes = ZooKeeperChanges(self.zk, host.clock, config.broker_id, perform)
        self.replicas.isr_changes = changes
        self._stops.append(changes.stop)
        self.services.role_changes = RoleChanges(
            self.replicas, self._on_roles_changed, self._on_topics_removed, self._on_controller
        )

        if self.ibp.allocates_producer_ids:
            blocks = from_controller(config, self.ibp, self.peers, self.metadata, self._broker_epoch)
        else:
            blocks = from_zookeeper(self.zk, config.broker_id)
        self.services.producer_ids = ProducerIds(blocks)

    def _wire_groups(self) -> None:
        """The coordinator sees its topic through the replication layer, and hears of its leaderships from it."""
        config = self.config
        shards = InternalTopicShards(
            OFFSETS_TOPIC,
            self.replicas,
            self.metadata,
            self.host.clock,
            acks=config.offsets_commit_required_acks,
            timeout_ms=config.offsets_commit_timeout_ms,
            default_partitions=config.offsets_topic_num_partitions,
            dir_failed=lambda failure: log.error("group offsets: %s", failure),
        )
        self.groups = self.services.coordinator = GroupCoordinator(config, self.host, shards)
        self._stops.append(self.groups.stop)

    def _wire_admin(self) -> None:
        config, services = self.config, self.services
        topics = TopicAdmin(self.zk, self.metadata, config, self.host.dice, topic_ids=self.ibp.topic_ids)
        services.admin = topics
        services.config_admin = ConfigAdmin(self.zk, self.metadata, config, self.settings.dynamic)
        services.auto_creation = AutoTopicCreation(config, self.metadata, topics.create_automatically)
        self._stops.append(self._close_auto_creation)

    def _broker_epoch(self) -> int:
        """-1 until this broker is registered."""
        return -1 if self.registration is None else self.registration.broker_epoch

    async def _bind(self) -> None:
        """Step 5: ports first, requests later; the registration needs to know the ports."""
        self.sockets = SocketServer(self.host, self.config, Dispatcher(self.services))
        self._stops.append(self._close_sockets)
        try:
            await self.sockets.bind()
        except OSError as error:
            listeners = ", ".join(str(endpoint) for endpoint in self.config.endpoints())
            number = error.errno or 0  # asyncio's own words repeat the address; a resolver's numbers are not errno's
            reason = os.strerror(number) if number > 0 else error.strerror or str(error)
            todo = _TO_BIND.get(number, "Name an address and port of this machine in listeners.")
            raise StartupFailed(f"Socket server failed to bind to {listeners}: {reason}", todo) from error

    async def _register(self) -> None:
        """Step 6: an ephemeral node, whose czxid is the broker epoch; then stand for election."""
        registration = self.registration = Registration(
            self.zk,
            self.host,
            self.config.broker_id,
            [znodes.Endpoint(*endpoint) for endpoint in self._advertised()],
            rack=self.config.broker_rack,
            feature_versions=self.ibp.feature_versions,
        )
        self.settings.on_advertised = lambda: self._spawn(
            self._advertise_anew(registration), "new advertised.listeners"
        )
        await registration.register()
        await self.controller.start()

    def _serve(self) -> None:
        """Step 7: requests, replication, and the log's housekeeping."""
        self.logdirs.start()
        self.replicas.start()
        self.groups.start()
        self.sockets.serve()
        self._running = True

    async def _advertise_anew(self, registration: Registration) -> None:
        """advertised.listeners changed while running. Without ZooKeeper, the next session registers with them."""
        try:
            await registration.update_endpoints([znodes.Endpoint(*endpoint) for endpoint in self._advertised()])
        except (RegistrationRefused, ZkError) as error:
            log.error("advertised.listeners: %s", error)

    def _advertised(self) -> list[EndPoint]:
        """Port 0 becomes the port that was bound, an empty host this machine's name."""
        return [
            endpoint._replace(
                host=endpoint.host or self.host.net.hostname(),
                port=endpoint.port or self.sockets.port(endpoint.listener),
            )
            for endpoint in self.config.advertised_endpoints()
        ]

    # --- stop ------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Hand over leadership, then stop what was started, last first; the ZooKeeper session ends last of all."""
        broker_id = self.config.broker_id
        log.info("[KafkaServer id=%d] shutting down", broker_id)
        if self._running and self.config.controlled_shutdown_enable:
            await self._controlled_shutdown()
        self._running = False
        while self._stops:
            stop = self._stops.pop()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await stop()
            except (TimeoutError, ZkError, OSError) as error:
                log.warning("[KafkaServer id=%d] %s: %r", broker_id, stop.__qualname__, error)
        for task in list(self._background):
            task.cancel()
        self.host.workers.close()
        log.info("[KafkaServer id=%d] shut down completed", broker_id)

    async def _controlled_shutdown(self) -> None:
        if not self.zk.connected:
            log.warning("ZooKeeper is away: stopping without handing leadership over")
            return
        self.replicas.is_stopping = True
        shutdown = ControlledShutdown(
            self.config, self.host.clock, self.peers, self.ibp, self.metadata, lambda: self.controller.controller_id
        )
        await shutdown.perform(self._broker_epoch())

    async def _close_sockets(self) -> None:
        self.sockets.close()

    async def _close_auto_creation(self) -> None:
        self.services.auto_creation.close()

    async def _close_peers(self) -> None:
        self.peers.close()

    # --- what comes upward -----------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._background[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._background[task]
        if not task.cancelled() and task.exception() is not None:
            log.error("%s failed", task.get_name(), exc_info=task.exception())

    def _on_session_established(self) -> None:
        self._spawn(self._rejoin(), "registration in a new session")

    async def _rejoin(self) -> None:
        """A new session: a new ephemeral node and broker epoch, then watches and settings again, then election."""
        if self.registration is None:
            return  # still starting: the registration under way is of the new session
        while True:
            try:
                await self.registration.register()
                break
            except SessionExpired:
                return  # the session after this one begins anew
            except RegistrationRefused as error:
                self._halt(str(error))
                return
            except ZkError as error:
                log.warning("registration in a new session: %s; trying again", error)
                await self.host.clock.sleep(REGISTER_AGAIN_SECONDS)
        self.settings.dynamic.rescan()
        self.controller.on_session_established()

    def _on_roles_changed(self, leaders: list[HostedPartition], followers: list[HostedPartition]) -> None:
        """Who leads a partition of the offsets topic coordinates its groups."""
        for hosted in leaders:
            if hosted.topic == OFFSETS_TOPIC:
                self.groups.lead(hosted.index, hosted.partition.leader_epoch)
        for hosted in followers:
            if hosted.topic == OFFSETS_TOPIC:
                self.groups.resign(hosted.index, hosted.partition.leader_epoch)

    def _on_dropped(self, hosted: HostedPartition) -> None:
        """Deleted, moved elsewhere, or its disk failed."""
        if hosted.topic == OFFSETS_TOPIC:
            self.groups.resign(hosted.index, None)

    def _on_controller(self) -> None:
        self._spawn(set_strays_aside(self.replicas, self.zk), "the search for stray directories")

    def _on_topics_removed(self, topics: tuple[str, ...]) -> None:
        self.groups.topics_deleted(frozenset(topics))
        self.settings.forget_topics(topics)

    def _on_dir_failed(self, directory: str, partitions: list[tuple[str, int]]) -> None:
        """Replicas let go of what was there, and then tell. A directory may fail before there are replicas."""
        if self._wired:
            self.replicas.log_dir_failed(directory, partitions)
        if directory in self.logdirs.full_dirs and self.logdirs.live_dirs:
            self._spawn(self._wait_for_room(directory), f"room in {directory}")

    async def _wait_for_room(self, directory: str) -> None:
        """A directory that was full is taken back by starting anew, which the controller knows how to deal with."""
        while not has_room(self.host.files, directory):
            await self.host.clock.sleep(LOOK_FOR_ROOM_SECONDS)
        if self._start_anew is not None:
            log.warning("there is room in %s again: the broker stops and starts to use it", directory)
            self._start_anew((), False)

    def _on_disk_failed(self, reason: str) -> None:
        """No directory is left, or what was synced cannot be trusted."""
        if self.logdirs.full_dirs and not self.logdirs.live_dirs and self._start_anew is not None:
            self._start_anew(self.logdirs.full_dirs, True)
        self._halt(f"{reason}\nRepair or replace the disk, or take the directory out of log.dirs; then start again.")

    def _tell_controller_of(self, directory: str) -> None:
        """The controller hears of a failed directory through ZooKeeper, and elects others."""
        self._spawn(self._tell_of_failed_dir(), f"log dir event of {directory}")

    async def _tell_of_failed_dir(self) -> None:
        data = znodes.encode_log_dir_event(self.config.broker_id)
        create = Create(znodes.LOG_DIR_EVENT_PREFIX, data, CreateMode.SEQUENTIAL)
        while True:
            try:
                [created] = await self.zk.request([create])
                created.or_raise()
                return
            except ZkError as error:
                log.warning("log dir event: %s; trying again", error)
                await self.host.clock.sleep(REGISTER_AGAIN_SECONDS)
