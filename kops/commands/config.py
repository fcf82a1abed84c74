"""``kops config``: settings of topics and brokers (describe, set, unset), and commented example files (init)."""

from pathlib import Path
from typing import Annotated

import typer

from kops.cluster import configs
from kops.cluster.configs import DEFAULT, Setting
from kops.columns import Column, View
from kops.columns.settings import SETTINGS
from kops.commands.options import command, noun
from kops.commands.run import Run, pairs
from kops.errors import BadUsage, Refused
from kops.local.examples import example
from kops.operations import settings
from kops.render import kafka

app = typer.Typer(help="Settings of topics and brokers.", no_args_is_help=True, rich_markup_mode=None)
noun(app)

FILES: View[str] = View(
    "FileList", (Column("FILE", lambda path: path),), lambda path: {"path": path}, lambda path: path
)

Kind = Annotated[str, typer.Argument(metavar="topic|broker", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Also what nobody set: defaults, and the broker's file.")]


@command(app, "describe", "list", "ls", "show", kind="ConfigList")
def describe(
    run: Run,
    kind: Annotated[str | None, typer.Argument(metavar="topic|broker", show_default=False)] = None,
    name: Annotated[list[str] | None, typer.Argument(metavar="NAME|ID|default", show_default=False)] = None,
    everything: All = False,
    entity_type: Annotated[str | None, typer.Option("--entity-type", help="As Apache's tool takes it.")] = None,
    entity_name: Annotated[list[str] | None, typer.Option("--entity-name", help="As Apache's tool takes it.")] = None,
    entity_default: Annotated[bool, typer.Option("--entity-default", help="All brokers together.")] = False,
) -> None:
    """Show settings and where they come from: topic, broker, all brokers, the broker's file, default.

    Without --all only those that were set on the topic or broker itself. `broker default` is all brokers together.
    """
    found = configs.checked(run.session, *_chosen(kind, name, entity_type, entity_name, entity_default))
    shown: list[Setting] = []
    for described in run.each(found, lambda entity: configs.describe(run.session, entity)):
        shown += [one for one in described if everything or one.overridden]
    run.show(SETTINGS, shown, kafka.settings_described)


@command(app, "set", kind="ConfigList")
def set_values(
    run: Run,
    kind: Kind,
    name: Annotated[str, typer.Argument(metavar="NAME|ID|default", show_default=False)],
    setting: Annotated[list[str], typer.Argument(metavar="KEY=VALUE", show_default=False)],
) -> None:
    """Set settings of a topic, a broker, or all brokers (`broker default`), and read them back."""
    alter_settings(run, kind, name, pairs(setting, "set"), [])


@command(app, "unset", kind="ConfigList")
def unset(
    run: Run,
    kind: Kind,
    name: Annotated[str, typer.Argument(metavar="NAME|ID|default", show_default=False)],
    key: Annotated[list[str], typer.Argument(metavar="KEY", show_default=False)],
) -> None:
    """Take settings of a topic or broker away, so that what holds for all holds again."""
    alter_settings(run, kind, name, {}, key)


@command(app, "alter", kind="ConfigList")
def alter(
    run: Run,
    entity_type: Annotated[str | None, typer.Option("--entity-type", help="topics or brokers")] = None,
    entity_name: Annotated[list[str] | None, typer.Option("--entity-name", help="Which one.")] = None,
    entity_default: Annotated[bool, typer.Option("--entity-default", help="All brokers together.")] = False,
    add_config: Annotated[str | None, typer.Option("--add-config", help="To set.", metavar="K=V,K=[V,V]")] = None,
    delete_config: Annotated[str | None, typer.Option("--delete-config", help="To unset.", metavar="K,K")] = None,
) -> None:
    """Set and unset with the options of Apache's kafka-configs."""
    kind, names = _chosen(None, None, entity_type, entity_name, entity_default)
    if not names:
        raise BadUsage("no entity is named", "Say --entity-name NAME, or --entity-default for all brokers.")
    put = pairs(_listed(add_config), "--add-config")
    drop = _listed(delete_config)
    for name in names:
        alter_settings(run, kind, name, {key: value.strip("[]") for key, value in put.items()}, drop)


def alter_settings(run: Run, kind: str, name: str, put: dict[str, str], drop: list[str]) -> None:
    """Plan, confirm where the context is protected, change, read back, show what holds."""
    if not put and not drop:
        raise BadUsage("nothing is to be altered", "For example `kops config set topic NAME retention.ms=60000`.")
    (entity,) = configs.checked(run.session, kind, [name])
    if warning := settings.check_names(run.session, entity, put, drop):
        run.out.say(f"note: {warning}")
    now = settings.present(run.session, entity)
    plan = [f"{entity}: {key} from {_told(now.get(key))} to {value}" for key, value in put.items()]
    plan += [f"{entity}: unset {key}, now {_told(now.get(key))}" for key in drop]
    if not run.confirm("alter settings", plan, ask=False):
        configs.alter(run.session, entity, put, drop, validate_only=True)
        run.show(SETTINGS, [now[key] for key in (*put, *drop) if key in now], kafka.settings_altered)
        return
    if settings.change(run.session, entity, put, drop) is not None:
        run.out.say("`kops undo` takes it back.")
    after = settings.present(run.session, entity)
    run.show(SETTINGS, [after[key] for key in (*put, *drop) if key in after], kafka.settings_altered)


def _told(setting: Setting | None) -> str:
    return f"{setting.shown or '(empty)'} ({setting.source})" if setting else "nothing"


def _chosen(
    kind: str | None,
    names: list[str] | None,
    entity_type: str | None,
    entity_name: list[str] | None,
    entity_default: bool,
) -> tuple[str, list[str]]:
    """Kind and names, said as ours or as Apache's options. Raises BadUsage without a kind."""
    meant = entity_type or kind
    if meant is None:
        raise BadUsage("settings of what?", "For example `kops config describe topic NAME`, or `broker 1`.")
    wanted = [*(names or []), *(entity_name or [])]
    return meant, [DEFAULT] if entity_default else wanted


def _listed(text: str | None) -> list[str]:
    """``a=1,b=[2,3],c=4``: commas within brackets belong to the value."""
    import re

    return [part for part in re.split(r",(?![^\[]*\])", text or "") if part]


@command(app, "init", kind="FileList")
def init(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="DIR")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write DIR/config/zookeeper.properties and DIR/config/server.properties."""
    written = [folder / "config" / name for name in ("zookeeper.properties", "server.properties")]
    present = [path for path in written if path.exists()]
    if present and not force:
        raise Refused(f"{present[0]} is there already", "Say --force to overwrite it, or name another folder.")
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example(path.name), encoding="utf-8")
    run.show(FILES, [str(path) for path in written])
    run.out.say(f"next: kops zookeeper start {written[0]} --daemon\n      kops broker start {written[1]} --daemon")
