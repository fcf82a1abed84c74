"""What can be done to a broker of a cluster that kops started: the plan of each verb in words. Pure."""

from kops.cluster.metadata import NO_LEADER
from kops.contexts import Context
from kops.local.processes import PAUSED, RUNNING, STOPPED
from kops.local.state import Server
from tui.snapshots import View
from tui.widgets.dialogs import Plan

VERBS: dict[str, tuple[str, tuple[str, ...]]] = {
    "kill": ("SIGKILL: as a crash", (RUNNING, PAUSED)),
    "pause": ("SIGSTOP: it keeps its connections and says nothing", (RUNNING,)),
    "resume": ("SIGCONT: it goes on", (PAUSED,)),
    "stop": ("SIGTERM: it hands its leaderships over first", (RUNNING, PAUSED)),
    "start": ("start it again with its file", (STOPPED,)),
    "restart": ("stop it gracefully, then start it", (RUNNING, PAUSED)),
}


_APACHE = {
    "kill": "kill -KILL {pid}",
    "pause": "kill -STOP {pid}",
    "resume": "kill -CONT {pid}",
    "stop": "kill -TERM {pid}     (kafka-server-stop.sh stops every broker of the machine)",
    "start": "kafka-server-start.sh -daemon {file}",
    "restart": "kill -TERM {pid} && kafka-server-start.sh -daemon {file}",
}
"""Kafka has no tool for one broker of several but its process."""


def possible(view: View, brokers: list[int]) -> list[tuple[str, str]]:
    """Key and words of everything that can be done now, the given brokers first."""
    found = []
    order = [*brokers, *(broker for broker in sorted(view.processes) if broker not in brokers)]
    for broker in order:
        process = view.processes.get(broker)
        for verb, (words, states) in VERBS.items():
            if process is not None and process.state in states:
                found.append((f"{verb} {broker}", f"{verb} broker {broker} — {words}"))
    return found


def plan(context: Context, view: View, verb: str, server: Server) -> Plan:
    """What the verb costs as far as the last view tells."""
    broker = server.id
    lines = [f"{VERBS[verb][0]}; process {server.pid} of {server.file}"]
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
        apache=_APACHE.get(verb, "").format(pid=server.pid, file=server.file),
        typed=context.name if context.protected else "",
    )
