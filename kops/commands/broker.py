"""``kops broker``: brokers of a cluster (list, describe), and those on this machine (start, stop, kill, pause)."""

from typing import Annotated

import typer

from kops.cluster import brokers
from kops.columns.views import BROKER_DETAILS, BROKERS
from kops.commands import server_verbs
from kops.commands.options import command, noun
from kops.commands.run import Run
from kops.commands.server_verbs import Daemon, Engine, KafkaHome, Override, checked_engine, launch
from kops.local import servers
from kops.local.state import BROKER, BUNDLED

app = typer.Typer(help="Brokers.", no_args_is_help=True, rich_markup_mode=None)
noun(app)

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", show_default=False)]


@command(app, "list", "ls", kind="BrokerList")
def list_brokers(run: Run) -> None:
    """List the brokers of the cluster, and who is missing."""
    run.show(BROKERS, brokers.list_brokers(run.session))


@command(app, "describe", kind="BrokerDescription")
def describe(run: Run, broker: Ids = None) -> None:
    """Describe brokers: their share of the cluster, and settings that are not defaults."""
    found = brokers.describe_brokers(run.session, broker or [])
    if run.out.form not in ("table", "wide"):
        run.show(BROKER_DETAILS, found)
        return
    run.show(BROKERS, found)
    for one in found:
        run.out.say(f"\nbroker {one.broker.id}")
        for key, value in one.configs.items():
            run.out.say(f"  {key}={value}")


@command(app, "start", kind="ServerList")
def start(
    run: Run,
    file: Annotated[str, typer.Argument(metavar="FILE|ID", show_default=False)],
    daemon: Daemon = False,
    override: Override = None,
    engine: Engine = BUNDLED,
    kafka_home: KafkaHome = None,
) -> None:
    """Start a broker by its properties file, or one that ran here before by its id."""
    run.change("start a broker")
    if file.isdigit():
        server, daemon = servers.find(BROKER, [file], run.context.cluster)[0], True
    else:
        server = servers.broker_of(file, override or (), checked_engine(engine), kafka_home)
        warn_of_every_address(run, file, override or [])
    launch(run, server, daemon)


server_verbs.add_to(app, BROKER)


def warn_of_every_address(run: Run, file: str, overrides: list[str]) -> None:
    from kops.local.properties import broker_file

    if broker_file(file, overrides).binds_everywhere:
        run.out.say(f"note: {file} has a listener without a host: it is open to every address of this machine")
