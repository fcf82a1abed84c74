"""The dashboard in a pseudo-terminal on a local cluster whose brokers are killed, paused, stopped and brought back.

Keys are pressed all the while, on every screen. A fault is: the program ended, its screen stopped following the
cluster, its memory grew, or a record that was acknowledged meanwhile is lost or there twice.
"""

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from kops.cluster import topics
from kops.cluster.probe import Probe
from kops.cluster.topics import NewTopic
from kops.local import clusters, processes, servers, state
from kops.local.clusters import Cluster
from kops.local.state import Server
from kops.session import Session
from tests.soak.table import Verdict, Wish
from tests.tui.terminal import Terminal

LIMIT = 60.0
WARM_SECONDS = 60.0
"""What memory is compared with is measured after so long: every screen has been opened by then."""
GROWTH_MIB, GROWTH_SHARE = 8.0, 0.08
SCREENS = "12345678"
KEYS = ("j", "j", "k", "G", "g", "s", "S", "/orders\r", "\x1b", "\x1b", " ", "?", ":isr\r", "a", "p", "p", "r")
"""Nothing of this harms a broker or ends the program."""
HARMS = ("kill", "pause", "stop", "restart")


@dataclass(slots=True)
class Course:
    """What has been measured of the program so far: seconds since the start, MiB, share of a core."""

    memory: list[tuple[float, float]] = field(default_factory=list)
    cpu_seconds: float = 0.0
    harms: int = 0
    keys: int = 0


def soak(wish: Wish) -> Verdict:
    """Makes a cluster in a folder of its own, and removes it."""
    with tempfile.TemporaryDirectory(prefix="kops-soak-") as folder:
        os.environ |= {"XDG_STATE_HOME": f"{folder}/state", "XDG_CONFIG_HOME": f"{folder}/config"}
        cluster, _ = clusters.up("soak", 3, LIMIT, wish.say)
        try:
            return asyncio.run(_play(wish, cluster, Path(folder)))
        finally:
            _down()


def _down() -> None:
    """Also brokers that are paused now."""
    for server in state.servers("soak"):
        if processes.state(server) != processes.STOPPED:
            servers.kill(server)


async def _play(wish: Wish, cluster: Cluster, folder: Path) -> Verdict:
    with Session(cluster.context, LIMIT) as session:
        for name in ("orders", "audit"):
            topics.create_topic(
                session, NewTopic(name, partitions=6, replication_factor=3, configs={"min.insync.replicas": "2"})
            )
    probe = Probe(cluster.context, "orders", 0, acks=-1, rate=20)
    probe.start()
    course, verdict = Course(), Verdict()
    words = [sys.executable, "-m", "kops", "tui", "isr", "--context", "soak"]
    try:
        async with Terminal(words, {"PYTHONPATH": os.getcwd()}, 120, 40) as terminal:
            await terminal.until("orders-0", "LIVE", limit=LIMIT)
            await _harm_and_press(wish, terminal, course, verdict)
            if not verdict.faults:
                await _end(terminal, verdict)
    finally:
        await asyncio.to_thread(_mend)
        await asyncio.sleep(3)
        probe.stop()
    read = await asyncio.to_thread(probe.read_back)
    verdict.faults += [f"{len(read.lost)} acknowledged records were lost"] if read.lost else []
    verdict.faults += [f"{len(read.duplicated)} records are there twice"] if read.duplicated else []
    _judge_memory(course, verdict)
    verdict.figures |= {
        "brokers harmed": course.harms,
        "keys pressed": course.keys,
        "records acknowledged": len(probe.tally.acknowledged),
        "CPU of the dashboard": f"{course.cpu_seconds / (wish.minutes * 60):.1%} of a core",
    }
    return verdict


async def _harm_and_press(wish: Wish, terminal: Terminal, course: Course, verdict: Verdict) -> None:
    """Until the time is up or the program has ended."""
    dice, began = random.Random(wish.seed), time.monotonic()
    program = psutil.Process(terminal.pid)
    harming: asyncio.Future[None] | None = None
    last_said = began
    while (now := time.monotonic()) < began + wish.minutes * 60:
        if not program.is_running() or program.status() == psutil.STATUS_ZOMBIE:
            verdict.faults.append(f"the dashboard ended; its last screen:\n{terminal.text}")
            break
        if harming is None or harming.done():
            if harming is not None:
                harming.result()
            course.harms += 1
            harming = asyncio.ensure_future(_harm(dice.choice(HARMS), dice.randint(1, 3), dice.uniform(1, 8)))
        terminal.type(dice.choice((*KEYS, *SCREENS)))
        course.keys += 1
        await asyncio.sleep(dice.uniform(0.1, 0.6))
        used = program.cpu_times()
        course.cpu_seconds = used.user + used.system
        if now - began > (course.memory[-1][0] + 2 if course.memory else 0):
            course.memory.append((now - began, program.memory_info().rss / (1 << 20)))
        if now - last_said > 30:
            last_said = now
            wish.say(f"{course.memory[-1][1]:.1f} MiB, {course.harms} harmed, {course.keys} keys")
    if harming is not None:
        await harming


async def _harm(verb: str, broker: int, away: float) -> None:
    """Harm it, and bring it back after so many seconds."""

    def find() -> Server:
        return next(one for one in state.servers("soak") if one.id == broker)

    victim = find()
    if verb == "kill":
        await asyncio.to_thread(servers.kill, victim)
    elif verb == "pause":
        servers.pause(victim)
    else:
        await asyncio.to_thread(servers.stop, victim, LIMIT)
    await asyncio.sleep(0 if verb == "restart" else away)
    if verb == "pause":
        servers.resume(find())
    else:
        await asyncio.to_thread(servers.start, find(), LIMIT)
    await asyncio.sleep(4)


def _mend() -> None:
    """Whatever state the last fault left brokers in."""
    for server in state.servers("soak"):
        condition = processes.state(server)
        if condition == processes.PAUSED:
            servers.resume(server)
        elif condition == processes.STOPPED:
            servers.start(server, LIMIT)


async def _end(terminal: Terminal, verdict: Verdict) -> None:
    """It still shows the cluster as it is, and ends when it is asked to."""
    await asyncio.to_thread(_mend)
    # A dialog or a filter may be open, and the feed paused.
    terminal.type("\x1b")
    await asyncio.sleep(0.5)
    terminal.type("\x1b")
    await asyncio.sleep(0.5)
    terminal.type("\x1b1")
    await asyncio.sleep(1)
    if "PAUSED" in terminal.text:
        terminal.type("p")
    try:
        await terminal.until("LIVE", "brokers 3/3", "under-replicated 0", limit=LIMIT)
        terminal.type("q")
        status = await terminal.ended()
        if status:
            verdict.faults.append(f"the dashboard ended with status {status}")
    except AssertionError as error:
        verdict.faults.append(str(error))


def _judge_memory(course: Course, verdict: Verdict) -> None:
    """The last quarter against the one after the warm-up: medians."""
    warm = [mib for at, mib in course.memory if at >= min(WARM_SECONDS, course.memory[-1][0] / 4)]
    if len(warm) < 8:
        verdict.figures["memory"] = "too short a run to judge"
        return
    quarter = len(warm) // 4
    early, late = statistics.median(warm[:quarter]), statistics.median(warm[-quarter:])
    shown = course.memory[:: max(1, len(course.memory) // 10)]
    verdict.figures["memory over time (MiB)"] = "  ".join(f"{at:.0f}s:{mib:.1f}" for at, mib in shown)
    verdict.figures["memory early, late, most"] = f"{early:.1f}, {late:.1f}, {max(m for _, m in course.memory):.1f} MiB"
    if late - early > max(GROWTH_MIB, early * GROWTH_SHARE):
        verdict.faults.append(f"memory grew from {early:.1f} to {late:.1f} MiB")
