"""Declaring a command: its own options, and the global ones that are accepted before and after every verb."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from kops.commands.run import Run, Settings
from kops.errors import translate

_HELP: dict[str, tuple[Any, Any, Any]] = {
    "context": (
        str | None,
        None,
        typer.Option("--context", "-c", help="Context to use [env: KOPS_CONTEXT].", metavar="NAME"),
    ),
    "bootstrap_server": (
        str | None,
        None,
        typer.Option(
            *("--bootstrap-server", "-b"),
            help="Brokers to ask [env: KOPS_BOOTSTRAP_SERVERS].",
            metavar="HOST:PORT,...",
        ),
    ),
    "zookeeper": (
        str | None,
        None,
        typer.Option("--zookeeper", help="ZooKeeper; topic commands then go through it.", metavar="HOST:PORT[/CHROOT]"),
    ),
    "command_config": (
        str | None,
        None,
        typer.Option("--command-config", help="Client properties, as Apache's tools take them.", metavar="FILE"),
    ),
    "property": (list[str] | None, None, typer.Option("-X", help="One client property.", metavar="K=V")),
    "output": (
        str | None,
        None,
        typer.Option("--output", "-o", help="table wide json yaml ndjson csv name kafka", metavar="FORMAT"),
    ),
    "yes": (bool, False, typer.Option("--yes", "-y", help="Do not ask.")),
    "dry_run": (bool, False, typer.Option("--dry-run", help="Show the plan and stop.")),
    "timeout": (
        float | None,
        None,
        typer.Option("--timeout", help="How long to wait, 30 by default.", metavar="SECONDS"),
    ),
    "quiet": (bool, False, typer.Option("--quiet", "-q", help="No narration.")),
    "verbose": (
        int,
        0,
        typer.Option("--verbose", "-v", count=True, show_default=False, help="Say more; tracebacks of bugs."),
    ),
    "no_color": (bool, False, typer.Option("--no-color", help="No colour [env: NO_COLOR].")),
    "no_headers": (bool, False, typer.Option("--no-headers", help="No heading over columns.")),
    "read_only": (bool, False, typer.Option("--read-only", help="Refuse whatever would change something.")),
    "apache": (bool, False, typer.Option("--apache-verbs", hidden=True)),
}

COMMON = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])
    for name, (kind, default, option) in _HELP.items()
]
_CONTEXT = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)


class CommandFailed(Exception):
    """What a command raised, with the run it happened in: ``cli`` turns it into words and an exit code."""

    def __init__(self, run: Run | None, error: BaseException, settings: Settings, kind: str) -> None:
        super().__init__(str(error))
        self.run = run
        self.error = error
        self.settings = settings
        self.kind = kind


def noun(app: typer.Typer) -> None:
    """Let a noun take the global options too: ``kops topic -o json list``."""

    def gather(ctx: typer.Context, **given: Any) -> None:
        ctx.obj = _settings(ctx).merged(given)

    _sign(gather, [_CONTEXT, *COMMON])
    app.callback()(gather)


def command(
    app: typer.Typer, name: str, *aliases: str, kind: str, hidden: bool = False, **extra: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare ``function(run, ...)`` as a verb. ``kind`` names its JSON documents; its docstring is its help."""

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in list(signature.parameters.values())[1:]]

        def call(ctx: typer.Context, **values: Any) -> None:
            settings = _settings(ctx).merged({one.name: values.pop(one.name) for one in COMMON})
            _run(function, settings, kind, values)

        _sign(call, [_CONTEXT, *own, *COMMON])
        text = inspect.cleandoc(function.__doc__ or "")
        app.command(name, help=text, hidden=hidden, **extra)(call)
        for alias in aliases:
            app.command(alias, help=text, hidden=True, **extra)(call)
        return function

    return declare


def _run(function: Callable[..., None], settings: Settings, kind: str, values: dict[str, Any]) -> None:
    run = None
    try:
        run = Run(settings, kind)
        function(run, **values)
    except typer.Exit:
        raise
    except BaseException as error:
        known = translate(error)
        raise CommandFailed(run, run.explained(known) if run and known else error, settings, kind) from error
    finally:
        if run is not None:
            run.close()
    _finish(run)


def _finish(run: Run) -> None:
    """Failures of single items: already in a document where there is one, told on stderr elsewhere."""
    if not run.errors:
        return
    if not (run.rendered and run.out.structured):
        for error in run.errors:
            run.out.complain(error)
    raise typer.Exit(run.exit_code)


def _settings(ctx: typer.Context) -> Settings:
    found = ctx.find_object(Settings)
    return found if found is not None else Settings()


def _sign(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> None:
    """Give a function the signature that typer is to read."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {one.name: one.annotation for one in parameters}
