"""``kops context``: which cluster is meant, remembered in ``config.toml``."""

from typing import Annotated

import typer

from kops import contexts
from kops.cluster.metadata import snapshot
from kops.columns.views import CONTEXTS
from kops.commands.options import command, noun
from kops.commands.run import Run, pairs
from kops.contexts import DEFAULT_BOOTSTRAP, Context
from kops.errors import Failed
from kops.words import counted

app = typer.Typer(help="Contexts: which cluster is meant.", no_args_is_help=True, rich_markup_mode=None)
noun(app)

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
Maybe = Annotated[str | None, typer.Argument(metavar="NAME", show_default=False)]


@command(app, "list", "ls", kind="ContextList")
def list_contexts(run: Run) -> None:
    """List contexts; the current one is starred."""
    known = contexts.load()
    run.show(CONTEXTS, [(context, context.name == known.current) for context in known.contexts.values()])


@command(app, "show", "describe", kind="ContextList")
def show(run: Run, name: Maybe = None) -> None:
    """Show a context: the named one, or the one that this command line would work on."""
    known = contexts.load()
    context = known.get(name) if name else run.context
    run.show(CONTEXTS, [(context, context.name == known.current)])


@command(app, "use", kind="ContextList")
def use(run: Run, name: Name) -> None:
    """Make a context the current one."""
    contexts.use(name)
    run.show(CONTEXTS, [(contexts.load().get(name), True)])


@command(app, "add", "create", kind="ContextList")
def add(
    run: Run,
    name: Name,
    protected: Annotated[
        bool, typer.Option("--protected", help="Changes must be confirmed by typing its name.")
    ] = False,
    use_it: Annotated[bool, typer.Option("--use", help="Make it the current one.")] = False,
) -> None:
    """Remember a cluster: --bootstrap-server, --zookeeper, --command-config and -X as they are given here."""
    if name in contexts.load().contexts:
        raise Failed(f"there is a context '{name}' already", f"Change it with `kops context edit {name} ...`.")
    _put(run, Context(name), protected, use_it)


@command(app, "edit", "alter", kind="ContextList")
def edit(
    run: Run,
    name: Name,
    protected: Annotated[
        bool | None, typer.Option("--protected/--unprotected", help="Whether changes ask for its name.")
    ] = None,
) -> None:
    """Change a context: what is given replaces what was there."""
    _put(run, contexts.load().get(name), protected, False)


@command(app, "rm", "delete", kind="ContextList")
def remove(run: Run, name: Name) -> None:
    """Forget a context; the cluster itself is not touched."""
    context = contexts.load().get(name)
    if run.confirm(f"forget context {name}", [f"{name}: {context.bootstrap_servers}"]):
        contexts.remove(name)
    run.show(CONTEXTS, [(context, False)])


@command(app, "test", kind="ContextList")
def test(run: Run, name: Maybe = None) -> None:
    """Ask the cluster of a context who is there. Exit 5 when nobody answers."""
    if name:
        run.settings.context = name
    seen = snapshot(run.session, [])
    run.out.say(f"{counted(len(seen.brokers), 'broker')}, controller {seen.controller}, cluster {seen.cluster_id}")
    run.show(CONTEXTS, [(run.context, run.context.name == contexts.load().current)])


def _put(run: Run, before: Context, protected: bool | None, use_it: bool) -> None:
    settings = run.settings
    given = dict(contexts.client_properties(settings.command_config)) | pairs(settings.property, "-X")
    context = Context(
        name=before.name,
        bootstrap_servers=settings.bootstrap_server or before.bootstrap_servers or DEFAULT_BOOTSTRAP,
        zookeeper=settings.zookeeper or before.zookeeper,
        properties={**before.properties, **given},
        protected=before.protected if protected is None else protected,
        read_only=settings.read_only or before.read_only,
        cluster=before.cluster,
    )
    contexts.put(context, make_current=use_it)
    run.show(CONTEXTS, [(context, contexts.load().current == context.name)])
