"""Faults of the second edition: what goes wrong beyond kills, cuts and slowness, and schedules made to be hostile."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from tests.sim.admin import Admin
from tests.sim.nemesis import SESSION, Fault, Nemesis

JUMPS_MS = (1_500, 60_000, 3_600_000, 3 * 86_400_000)


class Hostile(Nemesis):
    """``admin`` carries out what an operator does in the middle of it all."""

    admin: Admin

    def end(self) -> None:
        super().end()
        self.cluster.network.lag.clear()
        for disk in self.cluster.disks.values():
            disk.capacity = disk.write_error = disk.sync_error = disk.read_error = None
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
