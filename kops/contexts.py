"""Which cluster is meant: contexts in ``config.toml``, the project's ``.kops.toml``, environment and options.

Precedence: option, environment, project, context, default. Secrets are written as ``${env:NAME}`` or ``${file:PATH}``
and only read when a client is opened.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kops.errors import BadUsage, Failed, NotFound, not_found

DEFAULT_BOOTSTRAP = "localhost:9092"


@dataclass(frozen=True, slots=True)
class Context:
    """Where a cluster is and how to talk to it. ``properties`` are those of Java clients (``security.protocol``)."""

    name: str = "default"
    bootstrap_servers: str = DEFAULT_BOOTSTRAP
    zookeeper: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    protected: bool = False
    read_only: bool = False
    cluster: str | None = None
    """Name of the cluster on this machine that ``kops up`` made, when it is one."""

    def as_dict(self) -> dict[str, Any]:
        """What is kept in the file: defaults are left out."""
        kept: dict[str, Any] = {"bootstrap_servers": self.bootstrap_servers}
        if self.zookeeper:
            kept["zookeeper"] = self.zookeeper
        if self.cluster:
            kept["cluster"] = self.cluster
        if self.protected:
            kept["protected"] = True
        if self.read_only:
            kept["read_only"] = True
        if self.properties:
            kept["properties"] = dict(self.properties)
        return kept


@dataclass(frozen=True, slots=True)
class Contexts:
    """The contexts of ``config.toml`` and which one is current."""

    path: Path
    current: str | None
    contexts: Mapping[str, Context]

    def get(self, name: str) -> Context:
        """Raises NotFound, proposing the nearest name."""
        if name not in self.contexts:
            raise not_found("context", name, self.contexts, "`kops context list` shows the contexts there are.")
        return self.contexts[name]


def config_path() -> Path:
    """``$KOPS_CONFIG``, or ``$XDG_CONFIG_HOME/kops/config.toml``."""
    if given := os.environ.get("KOPS_CONFIG"):
        return Path(given)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home) / "kops" / "config.toml"


def load() -> Contexts:
    """The contexts of this user; none when there is no file yet. Raises Failed for a file that cannot be read."""
    path = config_path()
    document = _read(path)
    contexts = {name: _context(name, entry, path) for name, entry in document.get("contexts", {}).items()}
    return Contexts(path, document.get("current"), contexts)


def put(context: Context, *, make_current: bool = False) -> None:
    """Write or overwrite one context; comments and order of the rest of the file stay."""
    with _edited(config_path()) as document:
        document.setdefault("contexts", {})[context.name] = context.as_dict()
        if make_current:
            document["current"] = context.name


def use(name: str) -> None:
    """Make a context current. Raises NotFound."""
    load().get(name)
    with _edited(config_path()) as document:
        document["current"] = name


def remove(name: str) -> None:
    """Forget a context; without a current one the default is ``localhost:9092``. Raises NotFound."""
    load().get(name)
    with _edited(config_path()) as document:
        del document["contexts"][name]
        if document.get("current") == name:
            del document["current"]


@dataclass(frozen=True, slots=True)
class Overrides:
    """What options said, each None when it was not given."""

    context: str | None = None
    bootstrap_servers: str | None = None
    zookeeper: str | None = None
    command_config: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False


def resolve(overrides: Overrides) -> Context:
    """The context that a command works on. Raises NotFound for a name that is not there, BadUsage for a bad file."""
    project = _project()
    name = overrides.context or os.environ.get("KOPS_CONTEXT") or project.get("context")
    known = load()
    name = name or known.current
    context = known.get(name) if name else Context()
    bootstrap = (
        overrides.bootstrap_servers or os.environ.get("KOPS_BOOTSTRAP_SERVERS") or project.get("bootstrap_servers")
    )
    if bootstrap and bootstrap != context.bootstrap_servers:
        # Another cluster than the context's: its ZooKeeper and its local name do not apply any more.
        context = replace(context, name="-", bootstrap_servers=bootstrap, zookeeper=None, cluster=None)
    zookeeper = overrides.zookeeper or os.environ.get("KOPS_ZOOKEEPER") or project.get("zookeeper")
    properties = {**context.properties, **client_properties(overrides.command_config), **overrides.properties}
    return replace(
        context,
        zookeeper=zookeeper or context.zookeeper,
        properties=properties,
        read_only=context.read_only or overrides.read_only or bool(os.environ.get("KOPS_READ_ONLY")),
    )


def reveal(value: str) -> str:
    """A value with ``${env:NAME}`` and ``${file:PATH}`` replaced. Raises BadUsage when one is not there."""

    def one(match: re.Match[str]) -> str:
        kind, name = match.groups()
        if kind == "env":
            if name not in os.environ:
                raise BadUsage(f"the environment has no {name}", "Set it, or edit the context.")
            return os.environ[name]
        try:
            return Path(name).expanduser().read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise BadUsage(f"cannot read {name}: {error.strerror}", "Correct the path in the context.") from error

    return re.sub(r"\$\{(env|file):([^}]+)\}", one, value)


def _context(name: str, entry: Mapping[str, Any], path: Path) -> Context:
    fields = {"bootstrap_servers", "zookeeper", "cluster", "protected", "read_only", "properties"}
    if unknown := sorted(set(entry) - fields):
        raise Failed(
            f"{path}: context '{name}' has an unknown key {unknown[0]!r}", f"Known: {', '.join(sorted(fields))}."
        )
    return Context(name=name, **entry)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise Failed(f"{path} is not TOML: {error}", "Correct it, or move it away.") from error


def _project() -> Mapping[str, Any]:
    """The nearest ``.kops.toml`` upward from the working directory."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        candidate = folder / ".kops.toml"
        if candidate.is_file():
            return _read(candidate)
    return {}


def client_properties(path: str | None) -> Mapping[str, str]:
    """A Java client's properties file, as Apache's --command-config takes it."""
    if path is None:
        return {}
    from broker.java_properties import BadEscape, parse

    try:
        with open(path, encoding="utf-8") as file:
            return {entry.name: entry.text for entry in parse(file.read())}
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", "It is what --command-config names.") from error
    except BadEscape as error:
        raise BadUsage(f"{path}, line {error.line}: {error.text}", f"Write {BadEscape.WANTED}.") from error


class _edited:  # noqa: N801 - reads as a verb where it is used
    """A TOML file opened for change, replaced in one step at the end; mode 0600, since it may name secrets."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Any:
        import tomlkit

        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        self.document = tomlkit.parse(text)
        return self.document

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is not None:
            return
        import tomlkit

        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(tomlkit.dumps(self.document), encoding="utf-8")
        fresh.chmod(0o600)
        fresh.replace(self.path)
