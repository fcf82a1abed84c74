"""``kops zookeeper``: servers (start, stop, status) and the tree (shell, ls, get, stat, set, create, delete, watch)."""

from typing import TYPE_CHECKING, Annotated

import typer

from kops.cluster import zookeeper
from kops.columns.views import PATHS, SEEN, ZNODES, ZOOKEEPERS
from kops.commands import server_verbs
from kops.commands.options import command, noun
from kops.commands.run import Run
from kops.commands.server_verbs import Daemon, Engine, KafkaHome, Override, checked_engine, launch
from kops.errors import BadUsage
from kops.local import servers
from kops.local.state import BUNDLED, ZOOKEEPER
from kops.session import open_zookeeper
from kops.words import counted

if TYPE_CHECKING:
    from kazoo.client import KazooClient

app = typer.Typer(help="ZooKeeper.", no_args_is_help=True, rich_markup_mode=None)
noun(app)

Path = Annotated[str, typer.Argument(metavar="PATH", show_default=False)]
MaybePath = Annotated[str, typer.Argument(metavar="PATH")]
Auth = Annotated[str | None, typer.Option("--auth", help="Digest credentials.", metavar="USER:PASSWORD")]
Version = Annotated[int, typer.Option("--version", help="Only when the data version is still this.")]


@command(app, "start", kind="ServerList")
def start(
    run: Run,
    file: Annotated[str, typer.Argument(metavar="FILE", show_default=False)],
    daemon: Daemon = False,
    override: Override = None,
    engine: Engine = BUNDLED,
    kafka_home: KafkaHome = None,
) -> None:
    """Start a ZooKeeper server by its properties file (zookeeper.properties or zoo.cfg)."""
    run.change("start a ZooKeeper")
    launch(run, servers.zookeeper_of(file, override or (), checked_engine(engine), kafka_home), daemon)


server_verbs.add_to(app, ZOOKEEPER)


@command(app, "ls", "list", kind="ZnodeList")
def ls(
    run: Run,
    path: MaybePath = "/",
    recursive: Annotated[bool, typer.Option("--recursive", "-R", help="Everything below, too.")] = False,
    auth: Auth = None,
) -> None:
    """List the children of a znode."""
    client, path = _client(run, auth), zookeeper.check_path(path)
    found = zookeeper.tree(client, path) if recursive else zookeeper.children(client, path)
    if run.out.form == "table":
        run.out.form = "name"
    run.show(PATHS, found)


@command(app, "get", kind="Znode")
def get(run: Run, path: Path, auth: Auth = None) -> None:
    """Show the data of a znode."""
    znode = zookeeper.get(_client(run, auth), zookeeper.check_path(path))
    if run.out.form in ("table", "kafka"):
        print(znode.text)
        return
    run.show(ZNODES, [znode])


@command(app, "stat", kind="Znode")
def stat(run: Run, path: Path, auth: Auth = None) -> None:
    """Show the stat of a znode as ZooKeeper's own shell does."""
    from kops.render.zookeeper import stat_lines

    znode = zookeeper.get(_client(run, auth), zookeeper.check_path(path))
    if run.out.form in ("table", "kafka"):
        for line in stat_lines(znode):
            print(line)
        return
    run.show(ZNODES, [znode])


@command(app, "set", kind="Znode")
def set_data(
    run: Run, path: Path, data: Annotated[str, typer.Argument()], version: Version = -1, auth: Auth = None
) -> None:
    """Set the data of a znode."""
    run.change("set a znode")
    run.show(ZNODES, [zookeeper.write(_client(run, auth), zookeeper.check_path(path), data.encode(), version)])


@command(app, "create", kind="ZnodeList")
def create(
    run: Run,
    path: Path,
    data: Annotated[str | None, typer.Argument(show_default=False)] = None,
    sequence: Annotated[bool, typer.Option("--sequence", "-s", help="Append a number.")] = False,
    parents: Annotated[bool, typer.Option("--parents", help="Make what is missing above it.")] = False,
    auth: Auth = None,
) -> None:
    """Create a znode."""
    run.change("create a znode")
    client, raw = _client(run, auth), None if data is None else data.encode()
    run.show(PATHS, [zookeeper.create(client, zookeeper.check_path(path), raw, sequence=sequence, parents=parents)])


@command(app, "delete", "rm", kind="ZnodeList")
def delete(
    run: Run,
    path: Path,
    recursive: Annotated[bool, typer.Option("--recursive", "-R", help="Everything below, too.")] = False,
    version: Version = -1,
    auth: Auth = None,
) -> None:
    """Delete a znode."""
    client, path = _client(run, auth), zookeeper.check_path(path)
    zookeeper.get(client, path)
    plan = zookeeper.tree(client, path) if recursive else [path]
    if run.confirm(f"delete {counted(len(plan), 'znode')}" if recursive else f"delete {path}", plan):
        zookeeper.delete(client, path, version, recursive=recursive)
    run.show(PATHS, plan)


@command(app, "watch", kind="ZnodeEvent")
def watch(
    run: Run,
    path: Path,
    max_events: Annotated[int | None, typer.Option("--max-events", help="Stop after so many.")] = None,
    auth: Auth = None,
) -> None:
    """Watch a znode and its children: each change as ZooKeeper pushes it."""
    client, path = _client(run, auth), zookeeper.check_path(path)
    run.out.say(f"watching {path} (ctrl-c ends)")
    for count, seen in enumerate(zookeeper.watch(client, path), start=1):
        run.out.stream(SEEN, seen)
        if count == max_events:
            return


@command(app, "status", kind="ZooKeeperStatus")
def status(
    run: Run, server: Annotated[str | None, typer.Argument(metavar="HOST:PORT", show_default=False)] = None
) -> None:
    """Ask ZooKeeper servers how they are."""
    asked = server or run.context.zookeeper
    if not asked:
        raise BadUsage("no ZooKeeper is given", "Say `kops zookeeper status HOST:PORT`, or --zookeeper.")
    run.show(ZOOKEEPERS, run.each(asked.partition("/")[0].split(","), zookeeper.status))


@command(app, "shell", kind="ZnodeList")
def shell(
    run: Run,
    server: Annotated[str | None, typer.Argument(metavar="HOST:PORT", show_default=False)] = None,
    words: Annotated[list[str] | None, typer.Argument(metavar="COMMAND", show_default=False)] = None,
    auth: Auth = None,
) -> None:
    """ZooKeeper's shell, as zookeeper-shell and zkCli: one command, or typed ones until `quit`."""
    from kops.commands.zookeeper_shell import Shell

    if server and ":" not in server and not server.replace(".", "").isdigit():
        words, server = [server, *(words or [])], None
    if server:
        run.settings.zookeeper = server
    interpreter = Shell(_client(run, auth), run)
    if words:
        interpreter.execute(words)
        return
    raise typer.Exit(int(interpreter.loop(run.context.zookeeper or "")))


def _client(run: Run, auth: str | None) -> "KazooClient":
    """The session's client; one of its own where credentials are given. Closed with the session."""
    if auth is None:
        return run.session.zookeeper
    client = open_zookeeper(run.context.zookeeper, min(run.timeout, 10.0), [("digest", auth)])
    run.session.adopt(client)
    return client
