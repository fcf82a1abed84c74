"""``kops up``, ``status``, ``down``: whole clusters on this machine."""

import os
from typing import Annotated

import typer

from kops.cluster.metadata import snapshot
from kops.columns.views import SERVERS
from kops.commands.options import command
from kops.commands.run import Run
from kops.commands.server_verbs import Engine, KafkaHome, checked_engine, row
from kops.errors import NotFound, Unhealthy
from kops.local import clusters, processes, state
from kops.local.clusters import Cluster
from kops.local.processes import RUNNING, STOPPED
from kops.local.state import BUNDLED, Server
from kops.session import Session
from kops.words import counted

up_app = typer.Typer(rich_markup_mode=None)
status_app = typer.Typer(rich_markup_mode=None)
down_app = typer.Typer(rich_markup_mode=None)

Name = Annotated[str | None, typer.Option("--name", help="Which cluster; `dev` when none is current.", metavar="NAME")]


@command(up_app, "up", kind="ServerList")
def up(
    run: Run,
    brokers: Annotated[int | None, typer.Option("--brokers", "-n", help="How many brokers; 3 at first.")] = None,
    name: Name = None,
    engine: Engine = BUNDLED,
    kafka_home: KafkaHome = None,
) -> None:
    """Start ZooKeeper and brokers on this machine, wait until the cluster is whole, and make it current."""
    run.change("start a cluster")
    chosen = name or run.context.cluster or "dev"
    ready, begun = clusters.up(chosen, brokers, run.timeout, run.out.say, checked_engine(engine), kafka_home)
    run.out.say("" if begun else f"cluster {chosen} is running already")
    run.show(SERVERS, [row(server) for server in ready.servers])
    run.out.say(f"\nbootstrap servers  {ready.bootstrap_servers}\nzookeeper          {ready.zookeeper}")
    run.out.say("\nnext: kops topic create orders --partitions 3")
    run.out.say("      kops produce orders          (typed lines, or < file)")
    run.out.say("      kops consume orders --from-beginning")
    run.out.say("      kops partition watch         (then, elsewhere: kops broker kill 1)")


@command(status_app, "status", kind="ServerList")
def status(run: Run, name: Name = None) -> None:
    """Show servers and clusters on this machine. Exit 10 when a cluster is not whole or a server ended by itself."""
    known = state.servers(name)
    if name and not known:
        raise NotFound(f"there is no cluster '{name}' here", "`kops up --name NAME` makes one.")
    rows = [row(server) for server in known]
    state.drop_stale([server for server, condition, _ in rows if condition == STOPPED])
    for cluster in clusters.names() if name is None else [name]:
        complaint = _complaint(cluster, [one for one in rows if one[0].cluster == cluster])
        if complaint:
            run.errors.append(Unhealthy(f"cluster {cluster}: {complaint}", "`kops up` starts what is missing."))
    for server, _, _ in rows:
        if server.cluster is None and os.path.exists(server.file) and processes.ended_by_itself(server):
            what = f"{server.name} ({server.file}) was killed, or ended by itself: nobody stopped it"
            run.errors.append(
                Unhealthy(what, f"Its log: {server.log}. `kops {server.kind} start {server.file} --daemon`.")
            )
    run.show(SERVERS, rows)


def _complaint(name: str, rows: list[tuple[Server, str, int]]) -> str | None:
    """What is wrong with a cluster; nothing when it is down altogether."""
    if not rows or all(condition == STOPPED for _, condition, _ in rows):
        return None
    halted = [f"{server.name} is {condition}" for server, condition, _ in rows if condition != RUNNING]
    if halted:
        return ", ".join(halted)
    with Session(Cluster(name, tuple(server for server, _, _ in rows)).context, 5.0) as session:
        bad = [partition for partition in snapshot(session).partitions if partition.state != "ok"]
    return f"{counted(len(bad), 'partition', 'is', 'are')} not whole ({bad[0].name}: {bad[0].state})" if bad else None


@command(down_app, "down", kind="ServerList")
def down(
    run: Run,
    name: Name = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="And remove its files and records.")] = False,
) -> None:
    """Stop a cluster of this machine, brokers first."""
    known = clusters.cluster(name or run.context.cluster or "dev")
    root = clusters.folder(known.name)
    if wipe and not run.confirm(f"remove cluster {known.name}", [f"everything in {root}: configs, records, logs"]):
        run.show(SERVERS, [row(server) for server in known.servers])
        return
    run.change("stop a cluster")
    stopped = clusters.down(known.name, run.timeout, run.out.say, wipe=wipe)
    run.show(SERVERS, [row(server) for server in stopped.servers])
