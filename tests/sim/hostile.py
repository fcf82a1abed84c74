"""Faults of the later editions: what goes wrong beyond kills, cuts and slowness, and schedules made to be hostile."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from broker.zk import znodes
from broker.zookeeper.tree import Tree
from tests.sim.admin import Admin
from tests.sim.nemesis import SESSION, Fault, Nemesis
from tests.sim.workload import TOPIC

JUMPS_MS = (1_500, 60_000, 3_600_000, 3 * 86_400_000)


class Hostile(Nemesis):
    """``admin`` carries out what an operator does in the middle of it all."""

    admin: Admin

    def end(self) -> None:
        super().end()
        self.cluster.network.lag.clear()
        for disk in self.cluster.disks.values():
            disk.capacity = disk.write_error = disk.sync_error = disk.read_error = None
            disk.failing_under = "/"
        for broker_id in self.cluster.ids:
            self._end_without_directory(broker_id)
        self.admin.restore()

    # -- the network -----------------------------------------------------------------------------------------------
    def _cut_from_some(self, fault: Fault, name: str) -> None:
        """From ZooKeeper or not, from one broker or from both; its clients reach it."""
        others = self._others(name, ("client",))
        chosen = self.dice.sample(others, self.dice.randint(1, len(others)))
        self._cut([(name, other) for other in chosen], fault)

    def _lag(self, pairs: list[tuple[str, str]], seconds: float, fault: Fault) -> None:
        lag = self.cluster.network.lag
        lag.update(dict.fromkeys(pairs, seconds))
        self._after(fault.lasts, lambda: [lag.pop(pair, None) for pair in pairs])

    def _late(self, fault: Fault, name: str) -> None:
        """What it says to some comes late, in order."""
        others = self._others(name, ("client",))
        chosen = self.dice.sample(others, self.dice.randint(1, len(others)))
        self._lag([(name, other) for other in chosen], fault.n / 80, fault)

    # -- operators ---------------------------------------------------------------------------------------------------
    def _elect_preferred(self, fault: Fault, _: str) -> None:
        self.admin.elect()

    def _reassign(self, fault: Fault, _: str) -> None:
        self.admin.reassign()

    def _stop(self, fault: Fault, name: str, then: Callable[[], None] | None = None) -> None:
        """SIGTERM; started again once it has ended, and ``fault.lasts`` have passed."""
        process = self.cluster.world.processes[name]
        server = self.cluster.servers.get(int(name.rsplit("-", 1)[1]))
        if process.dead or process.paused or server is None or not server._running:
            return

        async def stop() -> None:
            await server.stop()
            process.kill()

        def ended() -> None:
            if process.dead:
                self._tell(f"{name} has stopped")
                self._after(fault.lasts, lambda: self._started(name, then))
            else:
                self._after(0.1, ended)

        process.spawn(stop(), "stop")
        ended()

    def _started(self, name: str, then: Callable[[], None] | None) -> None:
        self._start(name)
        if then is not None:
            then()

    def _roll(self, fault: Fault, _: str) -> None:
        """One broker after the other, each once the cluster is whole: nobody must notice."""
        names = [f"broker-{broker_id}" for broker_id in self.cluster.ids]

        def onward() -> None:
            if not names:
                return
            if not self.whole():
                self._after(0.2, onward)
                return
            name = names.pop(0)
            self._tell(f"roll: {name} is told to stop")
            self._stop(fault._replace(lasts=min(fault.lasts, 2.0)), name, then=onward)

        onward()

    # -- machines ----------------------------------------------------------------------------------------------------
    def _clock_jump(self, fault: Fault, name: str) -> None:
        """The wall clock of one machine jumps; it comes back, or stays."""
        name = "zookeeper" if fault.n % 7 == 0 else name
        offsets, jump = self.cluster.clock_offsets, self.dice.choice(JUMPS_MS) * self.dice.choice((1, -1))
        offsets[name] = offsets.get(name, 0) + jump
        self._tell(f"the clock of {name} jumps by {jump} ms")
        if fault.n % 2:

            def back() -> None:
                offsets[name] -= jump

            self._after(fault.lasts, back)

    def _on_disk(self, fault: Fault, name: str, change: Callable[[Any], None], mend: Callable[[Any], None]) -> None:
        """A process that cannot write may end itself; it is started again when the disk is well."""
        name = "zookeeper" if fault.n % 6 == 0 else name
        disk = self.cluster.disks[name]
        change(disk)
        self._after(fault.lasts, lambda: mend(disk))
        self._after(fault.lasts + 0.5, lambda: self._start(name))

    def _disk_full(self, fault: Fault, name: str) -> None:
        def fill(disk: Any) -> None:
            disk.capacity = disk.used() + fault.n * 5

        def free(disk: Any) -> None:
            disk.capacity = None

        self._on_disk(fault, name, fill, free)

    def _disk_fails(self, fault: Fault, name: str) -> None:
        what = ("write_error", "sync_error", "sync_error", "read_error")[fault.n % 4]
        error = errno.EIO if fault.n % 3 else errno.ENOSPC
        self._on_disk(fault, name, lambda disk: setattr(disk, what, error), lambda disk: setattr(disk, what, None))

    def _directory_fails(self, fault: Fault, name: str) -> None:
        """One of its log directories; the broker goes on with the other, until it is started anew with both."""
        broker_id, disk = int(name.rsplit("-", 1)[1]), self.cluster.disks[name]
        what = ("write_error", "read_error", "write_error", "sync_error")[fault.n % 4]
        disk.failing_under = self.dice.choice(self.cluster.settings["log_dirs"])
        setattr(disk, what, errno.EIO if fault.n % 3 else errno.EROFS)

        def mend() -> None:
            setattr(disk, what, None)
            disk.failing_under = "/"
            self._end_without_directory(broker_id)

        self._after(fault.lasts, mend)
        self._after(fault.lasts + 0.5, lambda: self._start(name))

    def _end_without_directory(self, broker_id: int) -> None:
        """A directory that went offline is not looked at again in that life."""
        server, process = self.cluster.servers.get(broker_id), self.cluster.process(broker_id)
        logdirs = getattr(server, "logdirs", None)
        if logdirs is not None and logdirs.offline_dirs and not process.dead:
            self._tell(f"{process.name} ends, which is without {logdirs.offline_dirs}")
            process.kill()

    def _fade(self, fault: Fault, name: str) -> None:
        """Slower and slower: it runs for 10 ms, and then stands still for longer each time."""
        process, until = self.cluster.world.processes[name], self.cluster.world.now + fault.lasts

        def still(seconds: float) -> None:
            process.pause()
            self._after(seconds, lambda: on(seconds * 1.5))

        def on(seconds: float) -> None:
            process.resume()
            if self.cluster.world.now < until and not process.dead:
                self._after(0.01, lambda: still(seconds))

        still(0.01)

    # -- schedules that are made to be hostile -----------------------------------------------------------------------
    def _zombie_controller(self, fault: Fault, _: str) -> None:
        """A controller with much to say is replaced, and what it said arrives afterwards."""
        controller = self._victim("controller")
        name = f"broker-{controller}"
        other = self.dice.choice([n for n in self.cluster.ids if n != controller])
        lasting = fault._replace(lasts=SESSION * self.dice.uniform(1.1, 1.6))
        self._lag([(name, each) for each in self._others(name, ("client", "zookeeper"))], fault.n / 60, lasting)
        self.admin.elect()
        if fault.n % 3 == 0:
            self._kill(fault, f"broker-{other}")
        if fault.n % 2:
            self._after(0.2, lambda: self._pause(lasting, name))
        else:
            self._after(0.2, lambda: self._cut([(name, "zookeeper")], lasting))

    def _zombie_leader(self, fault: Fault, _: str) -> None:
        """A leader that cannot be told that it is deposed, and that a follower and the clients still reach."""
        leader = self._victim("leader")
        name = f"broker-{leader}"
        friend = f"broker-{self.dice.choice([n for n in self.cluster.ids if n != leader])}"
        lasting = fault._replace(lasts=SESSION * self.dice.uniform(1.0, 2.0))
        cut = [other for other in self._others(name, ("client",)) if other != friend]
        if fault.n % 3 == 0:
            cut.remove("zookeeper")
        self._cut([(name, other) for other in cut], lasting)
        if fault.n % 2:
            self._lag([(friend, name), (name, friend)], fault.n / 400, lasting)
        if fault.n % 5 == 0:
            self.admin.elect()

    def _when(self, condition: Callable[[], bool], action: Callable[[], None], seconds: float, every: float) -> None:
        """As soon as ``condition`` holds, unless that takes longer than ``seconds``; looked at ``every`` so often."""
        if condition():
            action()
        elif seconds > 0:
            self._after(every, lambda: self._when(condition, action, seconds - every, every))

    @staticmethod
    def _replicas(tree: Tree, topic: str) -> list[int]:
        """Who holds one of a topic's replicas."""
        node = tree.nodes.get(znodes.topic(topic))
        assigned = {} if node is None else znodes.TopicZnode.decode(topic, node.data).partitions
        return [broker_id for each in assigned.values() for broker_id in each.replicas]

    def _late_deletion(self, fault: Fault, _: str) -> None:
        """A controller is replaced amid the deletion of a topic: what it says of it comes when another has that name.

        Its words are slow first, so that any of them may be the one that is late; and it holds no replica itself, or
        the deletion would wait for it.
        """
        lag, slow, late = self.cluster.network.lag, fault.n / 2000, self.dice.uniform(1.1, 2) * SESSION
        lasting = fault._replace(lasts=late + self.dice.uniform(0, 4))

        def is_deleting() -> bool:
            tree = self.cluster.tree()
            node = None if tree is None else tree.nodes.get(znodes.DELETE_TOPICS)
            if tree is None or node is None or not node.children or lag:
                return False
            holders = [self._replicas(tree, topic) for topic in node.children]
            return any(held and self._victim("controller") not in held for held in holders)

        def begin() -> None:
            name = f"broker-{self._victim('controller')}"
            pairs = [(name, other) for other in self._others(name, ("client", "zookeeper"))]
            lag.update(dict.fromkeys(pairs, slow))

            def replace() -> None:
                self._tell(f"what {name} says comes {late:.1f} s late")
                self._lag(pairs, late, lasting)
                if fault.n % 2:
                    self._after(slow + 0.05, lambda: self._pause(lasting, name))
                else:
                    self._cut([(name, "zookeeper")], lasting)

            self._after(self.dice.uniform(0, 3) * slow, replace)

        self._when(is_deleting, begin, seconds=10, every=0.002)

    def _late_follower(self, fault: Fault, _: str) -> None:
        """A leader gives up what one follower has, and leads again, before that follower hears that another led.

        It is the controller that leads in between: it knows at once, and its words to the follower are late.
        """
        controller = self._victim("controller")
        others = [n for n in self.cluster.ids if n != controller]

        def leader() -> int:
            """The preferred leader of some partition, if it leads and is not the controller."""
            metadata = self.cluster.servers[controller].metadata if controller in self.cluster.servers else None
            states = [] if metadata is None else [metadata.partition(TOPIC, each) for each in (0, 1)]
            return next((s.leader for s in states if s and s.leader in others and s.leader == s.replicas[0]), 0)

        def begin() -> None:
            victim = leader()
            [late] = [f"broker-{n}" for n in others if n != victim]
            name, successor = f"broker-{victim}", f"broker-{controller}"
            until = self.cluster.world.now + self.dice.uniform(10, 25)
            alone = fault._replace(lasts=self.dice.uniform(0.1, 2.0))
            self._cut([(name, successor)], alone)

            def fall() -> None:
                self._tell(f"{name} falls, and {late} hears of it at {until:.3f}")
                self._lag([(successor, late)], until - self.cluster.world.now, fault._replace(lasts=5))
                self._kill(fault._replace(lasts=self.dice.uniform(0.1, 2.0)), name)
                elect()

            def elect() -> None:
                if self.cluster.world.now < until:
                    self.admin.elect()
                    self._after(1.0, elect)

            self._after(alone.lasts, fall)

        self.admin.elect()
        self._when(lambda: leader() > 0, begin, seconds=5, every=0.1)
