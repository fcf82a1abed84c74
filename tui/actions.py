"""What can be done to a broker of a cluster that kops started: each verb's plan in words, and the deed."""

from collections.abc import Callable
from dataclasses import dataclass

from kops.cluster.metadata import NO_LEADER
from kops.contexts import Context
from kops.local import servers
from kops.local.processes import PAUSED, RUNNING, STOPPED
from kops.local.state import Server
from tui.snapshots import View
from tui.widgets.dialogs import Plan

START_SECONDS = STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Verb:
    """What it means, in which states of the process it can be done, how it is done by hand (Apache has no tool)."""

    words: str
    states: tuple[str, ...]
    apache: str
    steps: tuple[Callable[[Server], object], ...]


def _stop(server: Server) -> None:
    servers.stop(server, STOP_SECONDS)


def _start(server: Server) -> None:
    servers.start(server, START_SECONDS)


_START = "kafka-server-start.sh -daemon {file}"
VERBS = {
    "kill": Verb("SIGKILL: as a crash", (RUNNING, PAUSED), "kill -KILL {pid}", (servers.kill,)),
    "pause": Verb(
        "SIGSTOP: it keeps its connections and says nothing", (RUNNING,), "kill -STOP {pid}", (servers.pause,)
    ),
    "resume": Verb("SIGCONT: it goes on", (PAUSED,), "kill -CONT {pid}", (servers.resume,)),
    "stop": Verb(
        "SIGTERM: it hands its leaderships over first",
        (RUNNING, PAUSED),
        "kill -TERM {pid}     (kafka-server-stop.sh stops every broker of the machine)",
        (_stop,),
    ),
    "start": Verb("start it again with its file", (STOPPED,), _START, (_start,)),
    "restart": Verb(
        "stop it gracefully, then start it", (RUNNING, PAUSED), f"kill -TERM {{pid}} && {_START}", (_stop, _start)
    ),
}


def possible(view: View, brokers: list[int]) -> list[tuple[str, str]]:
    """Key and words of everything that can be done now, the given brokers first."""
    found = []
    order = [*brokers, *(broker for broker in sorted(view.processes) if broker not in brokers)]
    for broker in order:
        process = view.processes.get(broker)
        for name, verb in VERBS.items():
            if process is not None and process.state in verb.states:
                found.append((f"{name} {broker}", f"{name} broker {broker} — {verb.words}"))
    return found


def plan(context: Context, view: View, verb: str, server: Server) -> Plan:
    """What the verb costs as far as the last view tells."""
    broker = server.id
    lines = [f"{VERBS[verb].words}; process {server.pid} of {server.file}"]
    led = [one for one in view.partitions.values() if one.leader == broker]
    if verb in ("kill", "pause", "stop", "restart"):
        lines.append(f"it leads {len(led)} of {len(view.partitions)} partitions")
        alone = [one.name for one in led if not (set(one.isr) - {broker}) & view.alive]
        if alone:
            shown = ", ".join(alone[:5]) + (" …" if len(alone) > 5 else "")
            lines.append(f"nobody else is in sync for {len(alone)}: {shown} will be offline")
        if view.controller == broker:
            lines.append("it is the controller: another one will be elected")
    if verb in ("start", "resume"):
        behind = sum(broker in one.replicas and broker not in one.isr for one in view.partitions.values())
        lines.append(f"{behind} of its replicas have to catch up")
    dead = sum(one.leader == NO_LEADER for one in view.partitions.values())
    if dead:
        lines.append(f"{dead} partitions are offline already")
    same = (
        f"kops broker stop {broker} && kops broker start {broker}"
        if verb == "restart"
        else f"kops broker {verb} {broker}"
    )
    return Plan(
        question=f"{verb} broker {broker} of cluster {context.cluster}?",
        lines=tuple(lines),
        command=same,
        apache=VERBS[verb].apache.format(pid=server.pid, file=server.file),
        typed=context.name if context.protected else "",
    )


def carry_out(verb: str, server: Server, now: Callable[[], list[Server]]) -> None:
    """``now``: the brokers as they are, since a process that was started is another one. Raises KopsError."""
    for step in VERBS[verb].steps:
        step(next((one for one in now() if one.key == server.key), server))
