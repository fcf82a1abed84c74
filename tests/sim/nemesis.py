"""The faults of one run: planned from the seed, so that a plan can be printed, shortened and replayed.

Faults come in bursts, and often at the n-th door call of their victim; uniform times find little. Without
``flush.messages=1`` a power loss is Kafka's to survive only when it hits one machine of a whole cluster and takes
longer than its session: the plan of such a run has none, or only that one kind (see docs/reliability.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.sim.cluster import SESSION_MS, Cluster

SESSION = SESSION_MS / 1000
VICTIMS = ("leader", "leader", "controller", "follower", "any")
REBOOT_SECONDS = 2.5 * SESSION


class Fault(NamedTuple):
    """``kind`` befalls ``victim`` (a role, resolved when due) at ``at`` for ``lasts`` seconds; ``n`` is its own."""

    at: float
    kind: str
    victim: str
    lasts: float
    n: int

    def __str__(self) -> str:
        return f"{self.at:8.3f}  {self.kind:<16} {self.victim:<10} for {self.lasts:6.3f} s  ({self.n})"


ANYWHERE = (
    ("kill", 4),
    ("kill at door", 5),
    ("pause", 3),
    ("cut off", 2),
    ("cut off alone", 2),
    ("cut pair", 2),
    ("cut one way", 2),
    ("cut from zookeeper", 3),
    ("reset", 4),
    ("slow disk", 2),
    ("slow network", 1),
    ("kill zookeeper", 2),
    ("kill all", 1),
)
WITH_FLUSH = (*ANYWHERE, ("power", 5), ("power at door", 6), ("power all", 2), ("power zookeeper", 2))


def bursts(dice: random.Random, begin: float, end: float, kinds: Sequence[tuple[str, int]]) -> list[Fault]:
    """A few faults at a time, of these kinds and weights, with quiet between."""
    faults: list[Fault] = []
    at = begin
    while at < end:
        for _ in range(1 + dice.randrange(3)):
            [kind] = dice.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
            faults.append(Fault(at, kind, dice.choice(VICTIMS), _lasting(dice), dice.randrange(1, 400)))
            at += dice.expovariate(2)
        at += dice.uniform(0.5, 7)
    return faults


def _lasting(dice: random.Random) -> float:
    return dice.choice((dice.uniform(0.01, 0.5), dice.uniform(0.5, 4), dice.uniform(SESSION, 2 * SESSION)))


def careful_losses(dice: random.Random, begin: float, end: float) -> list[Fault]:
    """One machine at a time, away for longer than its session, and only when the cluster is whole."""
    faults, at = [], begin
    while at < end:
        kind = dice.choice(("power if whole", "power if whole", "reset"))
        faults.append(Fault(at, kind, dice.choice(VICTIMS), REBOOT_SECONDS, dice.randrange(1, 400)))
        at += dice.uniform(1, 20)
    return faults


class Nemesis:
    """Carries a plan out; ``told`` is what it did, ``leader`` says who leads partition 0 now (0: nobody)."""

    def __init__(self, cluster: Cluster, faults: list[Fault], leader: Callable[[], int], whole: Callable[[], bool]):
        self.cluster, self.faults, self.leader, self.whole = cluster, faults, leader, whole
        self.dice = random.Random(f"nemesis {cluster.world.random.random()}")
        self.told: list[str] = []
        self.over = False
        self._away_until: dict[str, float] = {}

    def start(self) -> None:
        for fault in self.faults:
            self.cluster.world.at(fault.at, lambda fault=fault: self._befall(fault))  # type: ignore[misc]

    def end(self) -> None:
        """All faults stop: what is dead starts, what is paused goes on, what was cut is whole."""
        self.over = True
        cluster = self.cluster
        cluster.network.heal()
        cluster.network.low, cluster.network.high = 0.000_05, 0.000_4
        for disk in cluster.disks.values():
            disk.sync_seconds = self.cluster.sync_seconds
        for process in cluster.world.processes.values():
            process.resume()
            process.doom(0, process.kill)
        self._tell("all faults end")

    def revive(self) -> None:
        """Start what is dead, as whoever looks after the machines does."""
        for name in ["zookeeper", *(f"broker-{n}" for n in self.cluster.ids)]:
            if self.cluster.world.processes[name].dead and self._away_until.get(name, 0.0) <= self.cluster.world.now:
                self._start(name)

    def _tell(self, what: str) -> None:
        self.told.append(f"{self.cluster.world.now:8.3f}  {what}")

    def _victim(self, role: str) -> int:
        ids = self.cluster.ids
        leader = self.leader() or self.dice.choice(ids)
        if role == "leader":
            return leader
        if role == "controller":
            active = [s.config.broker_id for s in self.cluster.alive() if self._controls(s)]
            return self.dice.choice(active or ids)
        if role == "follower":
            return self.dice.choice([n for n in ids if n != leader])
        return self.dice.choice(ids)

    @staticmethod
    def _controls(server: object) -> bool:
        controller = getattr(server, "controller", None)
        return controller is not None and bool(controller.is_active)

    def _befall(self, fault: Fault) -> None:
        if self.over:
            return
        victim = self._victim(fault.victim)
        name = f"broker-{victim}"
        self._tell(f"{fault.kind}: {name} for {fault.lasts:.3f} s ({fault.n})")
        getattr(self, "_" + fault.kind.replace(" ", "_"))(fault, name)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        world = self.cluster.world
        world.at(world.now + seconds, lambda: None if self.over else action())

    def _start(self, name: str) -> None:
        if self.cluster.world.processes[name].dead:
            self._tell(f"{name} starts")
            if name == "zookeeper":
                self.cluster.start_zookeeper()
            else:
                self.cluster.start_broker(int(name.rsplit("-", 1)[1]))

    # -- the faults ------------------------------------------------------------------------------------------------
    def _kill(self, fault: Fault, name: str) -> None:
        self.cluster.world.processes[name].kill()
        self._after(fault.lasts, lambda: self._start(name))

    def _kill_at_door(self, fault: Fault, name: str) -> None:
        process = self.cluster.world.processes[name]
        process.doom(fault.n, process.kill)
        self._after(fault.lasts + 1, lambda: self._start(name))

    def _power(self, fault: Fault, name: str) -> None:
        self.cluster.lose_power(name)
        self._after(fault.lasts, lambda: self._start(name))

    def _power_at_door(self, fault: Fault, name: str) -> None:
        self.cluster.world.processes[name].doom(fault.n, lambda: self.cluster.lose_power(name))
        self._after(fault.lasts + 1, lambda: self._start(name))

    def _power_if_whole(self, fault: Fault, name: str) -> None:
        if self.whole():
            self._away_until[name] = self.cluster.world.now + fault.lasts  # its session must have ended by then
            self._power(fault, name)

    def _kill_all(self, fault: Fault, _: str) -> None:
        for broker_id in self.cluster.ids:
            name = f"broker-{broker_id}"
            self.cluster.world.processes[name].kill()
            self._after(self.dice.random() * fault.lasts, lambda name=name: self._start(name))  # type: ignore[misc]

    def _power_all(self, fault: Fault, _: str) -> None:
        for name in ["zookeeper", *(f"broker-{n}" for n in self.cluster.ids)]:
            self.cluster.lose_power(name)
            self._after(self.dice.random() * fault.lasts, lambda name=name: self._start(name))  # type: ignore[misc]

    def _kill_zookeeper(self, fault: Fault, _: str) -> None:
        self._kill(fault, "zookeeper")

    def _power_zookeeper(self, fault: Fault, _: str) -> None:
        self._power(fault, "zookeeper")

    def _pause(self, fault: Fault, name: str) -> None:
        process = self.cluster.world.processes[name]
        process.pause()
        self._after(fault.lasts, process.resume)

    def _cut(self, pairs: list[tuple[str, str]], fault: Fault, *, both_ways: bool = True) -> None:
        for one, other in pairs:
            self.cluster.network.cut(one, other, both_ways=both_ways)

        def mend() -> None:
            for one, other in pairs:
                self.cluster.network.join(one, other)

        self._after(fault.lasts, mend)

    def _others(self, name: str, besides: tuple[str, ...] = ()) -> list[str]:
        return [other for other in self.cluster.world.processes if other != name and other not in besides]

    def _cut_off(self, fault: Fault, name: str) -> None:
        self._cut([(name, other) for other in self._others(name)], fault)

    def _cut_off_alone(self, fault: Fault, name: str) -> None:
        """Clients still reach it."""
        self._cut([(name, other) for other in self._others(name, ("client",))], fault)

    def _cut_pair(self, fault: Fault, name: str) -> None:
        self._cut([(name, self.dice.choice(self._others(name, ("client", "zookeeper"))))], fault)

    def _cut_one_way(self, fault: Fault, name: str) -> None:
        other = self.dice.choice(self._others(name, ("client",)))
        self._cut([(name, other) if fault.n % 2 else (other, name)], fault, both_ways=False)

    def _cut_from_zookeeper(self, fault: Fault, name: str) -> None:
        self._cut([(name, "zookeeper")], fault)

    def _reset(self, fault: Fault, name: str) -> None:
        pairs = [p for p in self.cluster.network.connections if name in (p[0].process.name, p[1].process.name)]
        for pair in pairs:
            if self.dice.random() < 0.5:
                self.cluster.network.reset(pair)

    def _slow_disk(self, fault: Fault, name: str) -> None:
        disk = self.cluster.disks[name if fault.n % 4 else "zookeeper"]
        disk.sync_seconds = fault.n / 400

        def mend() -> None:
            disk.sync_seconds = self.cluster.sync_seconds

        self._after(fault.lasts, mend)

    def _slow_network(self, fault: Fault, _: str) -> None:
        network = self.cluster.network
        network.low, network.high = 0.001, fault.n / 1000

        def mend() -> None:
            network.low, network.high = 0.000_05, 0.000_4

        self._after(fault.lasts, mend)
