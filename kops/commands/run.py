"""One run of one command: the options that every command has, the context they lead to, its session and its output."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from kops.columns import View
from kops.contexts import Context, Overrides, resolve
from kops.errors import BadUsage, Exit, KopsError, Refused, translate
from kops.listeners import zookeepers
from kops.render.output import FORMATS, Output
from kops.session import Session

T = TypeVar("T")
DEFAULT_TIMEOUT = 30.0


@dataclass(slots=True)
class Settings:
    """The global options; None or False where not given."""

    context: str | None = None
    bootstrap_server: str | None = None
    zookeeper: str | None = None
    command_config: str | None = None
    property: list[str] = field(default_factory=list)
    output: str | None = None
    yes: bool = False
    dry_run: bool = False
    timeout: float | None = None
    quiet: bool = False
    verbose: int = 0
    no_color: bool = False
    no_headers: bool = False
    read_only: bool = False
    apache: bool = False
    """The line was written with Apache's verbs as options: Apache's layout is the default."""

    def merged(self, given: Mapping[str, Any]) -> "Settings":
        """These, overridden by what was given later in the line."""
        values = {name: getattr(self, name) for name in self.__slots__}
        for name, value in given.items():
            if name == "property":
                values[name] = [*values[name], *(value or [])]
            elif value not in (None, False, 0):
                values[name] = value
        return Settings(**values)


class Run:
    """What a command gets as its first argument. Opened things are closed when it ends."""

    def __init__(self, settings: Settings, kind: str) -> None:
        self.settings = settings
        self.kind = kind
        self.errors: list[KopsError] = []
        self.rendered = False
        form = settings.output or os.environ.get("KOPS_OUTPUT") or ("kafka" if settings.apache else "table")
        if form not in FORMATS:
            raise BadUsage(f"there is no output format '{form}'", f"One of: {', '.join(FORMATS)}.")
        self.out = Output(
            form,
            headers=not settings.no_headers,
            color=not (settings.no_color or os.environ.get("NO_COLOR")),
            quiet=settings.quiet,
            dry_run=settings.dry_run,
        )

    @cached_property
    def context(self) -> Context:
        """Raises NotFound for a context that is not there."""
        return resolve(
            Overrides(
                context=self.settings.context,
                bootstrap_servers=self.settings.bootstrap_server,
                zookeeper=self.settings.zookeeper,
                command_config=self.settings.command_config,
                properties=pairs(self.settings.property, "-X"),
                read_only=self.settings.read_only,
            )
        )

    @cached_property
    def session(self) -> Session:
        return Session(self.context, self.timeout)

    @property
    def timeout(self) -> float:
        return self.settings.timeout or DEFAULT_TIMEOUT

    @property
    def through_zookeeper(self) -> bool:
        """Whether the line asks for the older way: ``--zookeeper`` without a bootstrap server."""
        return self.settings.zookeeper is not None and self.settings.bootstrap_server is None

    def close(self) -> None:
        if "session" in self.__dict__:
            self.session.close()

    def show(
        self,
        view: View[T],
        items: Sequence[T],
        kafka: Callable[[Sequence[T]], Iterable[str]] | None = None,
        **extra: Any,
    ) -> None:
        """Render everything that was found or done, with the errors of the items that failed."""
        self.rendered = True
        self.out.items(view, items, self.errors, kafka, **extra)

    def each(self, subjects: Sequence[T], act: Callable[[T], Any]) -> list[Any]:
        """``act`` on every subject; a failure of one is remembered and does not stop the others."""
        done = []
        for subject in subjects:
            try:
                done.append(act(subject))
            except Exception as error:
                known = translate(error)
                if known is None:
                    raise
                self.errors.append(self.explained(known))
        return done

    def explained(self, error: KopsError) -> KopsError:
        """With the cause of a time-out, where ZooKeeper is away: brokers wait for it, and may still do it then."""
        if error.code not in ("RequestTimedOutError", "KafkaTimeoutError") or not self.context.zookeeper:
            return error
        try:
            zookeepers(self.context.zookeeper)
        except KopsError as away:
            error.do = f"Because {away.what}. Brokers wait for it, and may still do this when it is back."
        return error

    @property
    def exit_code(self) -> int:
        """0 when nothing failed; the one code that all failures share, else 1."""
        codes = {error.exit for error in self.errors}
        return int(codes.pop()) if len(codes) == 1 else int(Exit.FAILED) if codes else 0

    def change(self, what: str) -> None:
        """To be called before anything is changed. Raises Refused in a read-only context."""
        if self.context.read_only:
            raise Refused(f"{what}: this context is read-only", "Leave out --read-only, or use another context.")

    @property
    def unasked(self) -> bool:
        """Whether nobody will be asked: a plan whose rows come again with what became of them need not be shown."""
        return self.settings.dry_run or (self.settings.yes and not self.context.protected)

    def confirm(self, what: str, plan: Sequence[str], *, ask: bool = True) -> bool:
        """Show the plan and ask; False when this is a dry run. Raises Refused on no, and without a terminal.

        Not ``ask``: what loses nothing is done at once, but for a protected context.
        """
        for line in plan:
            self.out.say(line)
        if self.settings.dry_run:
            return False
        self.change(what)
        if self.context.protected:
            return self._typed(what, self.context.name)
        if self.settings.yes or not ask:
            return True
        if not sys.stdin.isatty():
            raise Refused(f"{what}: not done, nobody is there to be asked", "Say --yes to do it without being asked.")
        print(f"{what}? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Refused(f"{what}: not done", "Answer y to do it.")
        return True

    def _typed(self, what: str, name: str) -> bool:
        """A protected context is changed only by someone who types its name."""
        if not sys.stdin.isatty():
            raise Refused(
                f"{what}: context '{name}' is protected", "It must be confirmed on a terminal by typing its name."
            )
        print(f"{what}: context '{name}' is protected. Type its name: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != name:
            raise Refused(f"{what}: not done, the name was not '{name}'", "Type the name of the context to go on.")
        return True


def pairs(items: Sequence[str], option: str) -> dict[str, str]:
    """``k=v`` options. Raises BadUsage for one without ``=``."""
    found = {}
    for item in items:
        key, separator, value = item.partition("=")
        if not separator or not key.strip():
            raise BadUsage(f"{option} {item}: not KEY=VALUE", f"For example {option} name=value.")
        found[key.strip()] = value
    return found
