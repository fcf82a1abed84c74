"""Each broker, and ZooKeeper, a machine of its own (network namespaces): cut off, nothing breaks off, words are lost.

A proxy that is cut resets what is connected, which everybody notices at once. Here packets go nowhere: whoever waits
for an answer waits until a time-out, or until the cut has ended and TCP sends them again.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.clusters import Cluster
from tests.cluster.talk import Talk
from tests.soak.harms import SESSION, Harm

CLONE_NEWNET = 0x40000000
PORT, ZOOKEEPER_PORT = 9092, 2181
ZOOKEEPER, CLIENT = 9, 254
"""Numbers of machines; broker n is number n + 1."""


def address(number: int) -> str:
    return f"10.77.0.{number}"


def _mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


class Machines:
    """Namespaces on one bridge, in a namespace of this process, which the rest of this machine does not see.

    Raises PermissionError where that is not permitted.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET):
            raise PermissionError(ctypes.get_errno(), "no network namespace can be made here")
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "bridge", "address", _mac(CLIENT), "type", "bridge")
        _run("ip", "addr", "add", f"{address(CLIENT)}/24", "dev", "bridge")
        _run("ip", "link", "set", "bridge", "up")
        self._holders = {each: self._begin(each) for each in numbers}
        for one in (*self._holders, CLIENT):
            for other in (*self._holders, CLIENT):
                if one != other:
                    self._send(one, other, _mac(other))

    def _begin(self, number: int) -> subprocess.Popen[bytes]:
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        pair = f"machine{number}"
        _run("ip", "link", "add", pair, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        _run("ip", "link", "set", pair, "master", "bridge", "up")
        inside = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
        _run(*inside, "ip", "link", "set", "eth0", "address", _mac(number), "up")
        _run(*inside, "ip", "link", "set", "lo", "up")
        _run(*inside, "ip", "addr", "add", f"{address(number)}/24", "dev", "eth0")
        return holder

    def inside(self, number: int) -> list[str]:
        """The words before those of a command that is to run on that machine."""
        return [] if number == CLIENT else ["nsenter", f"--net=/proc/{self._holders[number].pid}/ns/net"]

    def lose(self, one: int, other: int) -> None:
        """What ``one`` sends to ``other`` goes nowhere."""
        self._send(one, other, _mac(0))

    def heal(self, one: int, other: int) -> None:
        self._send(one, other, _mac(other))

    def _send(self, one: int, other: int, mac: str) -> None:
        device = "bridge" if one == CLIENT else "eth0"
        words = ["ip", "neigh", "replace", address(other), "lladdr", mac, "dev", device, "nud", "permanent"]
        _run(*self.inside(one), *words)

    def end(self) -> None:
        for holder in self._holders.values():
            holder.kill()
            holder.wait(10)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


class SilentCluster(Cluster):
    """Its processes run on machines of their own."""

    def __init__(self, machines: Machines, directory: Path, **settings: str) -> None:
        super().__init__(directory, brokers=3, direct=True, **settings)
        self.machines = machines
        self.zookeeper.prefix = machines.inside(ZOOKEEPER)
        self.zookeeper.settings |= {"clientPortAddress": address(ZOOKEEPER), "clientPort": str(ZOOKEEPER_PORT)}
        for broker_id, node in self.nodes.items():
            node.process.prefix = machines.inside(broker_id + 1)
            listener = f"PLAINTEXT://{address(broker_id + 1)}:{PORT}"
            node.process.settings |= {"listeners": listener, "advertised.listeners": listener}
            node.process.settings["zookeeper.connect"] = f"{address(ZOOKEEPER)}:{ZOOKEEPER_PORT}"

    @property
    def bootstrap(self) -> str:
        return ",".join(f"{address(broker_id + 1)}:{PORT}" for broker_id in self.nodes)

    def talk(self, broker_id: int, direct: bool = False) -> Talk:
        talk = Talk(broker_id, PORT, address(broker_id + 1))
        self._talks.append(talk)
        return talk


@dataclass(slots=True)
class Silence(Harm):
    """Losses between machines."""

    machines: Machines | None = None

    async def _lose(self, pairs: list[tuple[int, int]], seconds: float) -> None:
        assert self.machines is not None
        for pair in pairs:
            self.machines.lose(*pair)
        await asyncio.sleep(seconds)
        for pair in pairs:
            self.machines.heal(*pair)

    def _lasting(self) -> float:
        return self.dice.choice((self.dice.uniform(0.1, 1), self.dice.uniform(1, SESSION), 3 * SESSION, 12 * SESSION))

    def _around(self, number: int, besides: tuple[int, ...] = ()) -> list[tuple[int, int]]:
        """Both ways between this machine and all others."""
        others = [each for each in (1, 2, 3, ZOOKEEPER, CLIENT) if each != number and each not in besides]
        return [pair for each in others for pair in ((number, each), (each, number))]

    async def _victim(self) -> int:
        return self.dice.choice((await self.leader(), await self.controller(), self.any())) + 1

    async def fall_silent(self) -> None:
        await self._lose(self._around(await self._victim()), self._lasting())

    async def fall_silent_but_for_clients(self) -> None:
        await self._lose(self._around(await self._victim(), (CLIENT,)), self._lasting())

    async def lose_one_way(self) -> None:
        """It hears and is not heard, or the other way round."""
        which = self.dice.randrange(2)
        await self._lose(self._around(await self._victim())[which::2], self._lasting())

    async def lose_between_two(self) -> None:
        one, other = self.dice.sample((1, 2, 3), 2)
        pairs = [(one, other), (other, one)]
        await self._lose(pairs[: self.dice.choice((1, 2))], self._lasting())

    async def lose_zookeeper(self) -> None:
        victim = await self._victim()
        await self._lose([(victim, ZOOKEEPER), (ZOOKEEPER, victim)], self._lasting())

    async def silence_zookeeper(self) -> None:
        await self._lose(self._around(ZOOKEEPER), self._lasting())

    async def flap_silently(self) -> None:
        victim = await self._victim()
        for _ in range(10):
            await self._lose(self._around(victim), self.dice.uniform(0.05, 0.5))
            await self.pause(0.5)

    async def go_off(self) -> None:
        """Its process dies and nobody is told; it is back some seconds later."""
        victim = await self._victim()
        losing = asyncio.ensure_future(self._lose(self._around(victim), self._lasting()))
        await asyncio.sleep(0.05)
        self.cluster.kill(victim - 1)
        await losing
        self.cluster.start(victim - 1)


SILENCES = {
    "a machine falls silent": Silence.fall_silent,
    "silent but for clients": Silence.fall_silent_but_for_clients,
    "heard or hearing no more": Silence.lose_one_way,
    "silent between two": Silence.lose_between_two,
    "silent towards ZooKeeper": Silence.lose_zookeeper,
    "ZooKeeper falls silent": Silence.silence_zookeeper,
    "silent now and then": Silence.flap_silently,
    "a machine goes off": Silence.go_off,
}
