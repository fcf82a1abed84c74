"""The notation for Kafka's messages: classes with version ranges (org.apache.kafka.message.MessageGenerator's JSON).

A message is a class whose fields say their wire type and the versions that carry them:

    @struct
    class MetadataRequestTopic:
        topic_id: UUID = f(UUID_, "10+")
        name: str | None = f(STRING, "0+", nullable="10+")

    @message(key=ApiKey.METADATA, versions="0-12", flexible="9+")
    class MetadataRequest:
        topics: list[MetadataRequestTopic] | None = f(array(MetadataRequestTopic), "0+", nullable="1+")

Classes get slots, keyword-only ``__init__``, ``==`` and ``repr``; all fields have Kafka's defaults. Fields stand in the
order of the wire. ``broker.wire.compiler`` makes the reader and the writer of a (class, version) when first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, dataclass_transform
from uuid import UUID

T = TypeVar("T")

HIGHEST: Final = 0x7FFF
NEVER: Final = (1, 0)


@dataclass(frozen=True, slots=True)
class Kind:
    """A wire type; ``format`` is the struct letter of a fixed-size one, else empty."""

    name: str
    format: str
    default: Any


@dataclass(frozen=True, slots=True)
class Array:
    """An array of a kind or of a struct class."""

    element: Any


BOOL: Final = Kind("bool", "?", False)
INT8: Final = Kind("int8", "b", 0)
INT16: Final = Kind("int16", "h", 0)
UINT16: Final = Kind("uint16", "H", 0)
INT32: Final = Kind("int32", "i", 0)
INT64: Final = Kind("int64", "q", 0)
FLOAT64: Final = Kind("float64", "d", 0.0)
UUID_: Final = Kind("uuid", "16s", UUID(int=0))
STRING: Final = Kind("string", "", "")
BYTES: Final = Kind("bytes", "", b"")
RECORDS: Final = Kind("records", "", None)


def array(element: Any) -> Array:
    """The wire type of a list of ``element``: a kind, or a class made by :func:`struct`."""
    return Array(element)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its wire type and the ranges (low, high) of versions that carry it, may hold null, or tag it."""

    name: str
    type: Any
    versions: tuple[int, int]
    nullable: tuple[int, int]
    tagged: tuple[int, int]
    tag: int
    default: Any

    def in_version(self, version: int) -> bool:
        return self.versions[0] <= version <= self.versions[1]

    def is_tagged(self, version: int) -> bool:
        return self.tagged[0] <= version <= self.tagged[1]

    def is_nullable(self, version: int) -> bool:
        return self.nullable[0] <= version <= self.nullable[1]


class _Spec:
    """What :func:`f` leaves in the class body, until the decorator turns it into a :class:`Field`."""

    __slots__ = ("arguments",)

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments


class _Unset:
    def __repr__(self) -> str:
        return "<default>"


UNSET: Final = _Unset()


def f(type_: Any, versions: str, *, nullable: str = "", default: Any = UNSET, tag: int = -1, tagged: str = "") -> Any:
    """A field carried in ``versions`` ("0+", "3-5", "2"), null allowed in ``nullable``; tags are KIP-482's."""
    if tag >= 0 and not tagged:
        tagged = versions
    return _Spec(type_, parse_range(versions), parse_range(nullable), parse_range(tagged), tag, default)


def parse_range(text: str) -> tuple[int, int]:
    """``"3-5"`` (3, 5); ``"3+"`` (3, HIGHEST); ``"3"`` (3, 3); ``""`` never."""
    if not text:
        return NEVER
    if text.endswith("+"):
        return int(text[:-1]), HIGHEST
    low, _, high = text.partition("-")
    return int(low), int(high or low)


@dataclass(slots=True)
class Shape:
    """What the compiler knows of a class: its fields, its range of versions, and the codecs made so far."""

    cls: type
    fields: tuple[Field, ...]
    key: int = -1
    versions: tuple[int, int] = (0, HIGHEST)
    flexible: tuple[int, int] = NEVER
    readers: dict[int, Callable[..., Any]] = field(default_factory=dict)
    writers: dict[int, Callable[..., Any]] = field(default_factory=dict)
    parts_writers: dict[int, Callable[..., Any]] = field(default_factory=dict)

    def is_flexible(self, version: int) -> bool:
        return self.flexible[0] <= version <= self.flexible[1]


def shape_of(cls: type) -> Shape:
    """The shape of a class made by :func:`struct` or :func:`message`."""
    shape: Shape = cls.__dict__["SHAPE"]
    return shape


@dataclass_transform(kw_only_default=True)
def struct(cls: type[T]) -> type[T]:
    """A part of messages, carried as its fields one after another."""
    return _build(cls, {})


@dataclass_transform(kw_only_default=True)
def message(*, versions: str, flexible: str = "", key: int = -1) -> Callable[[type[T]], type[T]]:
    """A message that is valid in ``versions`` and uses compact lengths and tagged fields (KIP-482) in ``flexible``."""
    settings = {"key": key, "versions": parse_range(versions), "flexible": parse_range(flexible)}

    def decorate(cls: type[T]) -> type[T]:
        return _build(cls, settings)

    return decorate


def _build(cls: type[T], settings: dict[str, Any]) -> type[T]:
    """A class with slots in place of ``cls``; its ``__init__`` is compiled by the first call, so importing is cheap."""
    specs = {name: value for name, value in vars(cls).items() if isinstance(value, _Spec)}
    fields = tuple(_field(name, spec) for name, spec in specs.items())
    kept = {name: value for name, value in vars(cls).items() if name not in specs and name not in _OWN}
    namespace: dict[str, Any] = {
        **kept,
        "__slots__": tuple(specs),
        "__init__": _first_init,
        "__eq__": _equal,
        "__repr__": _repr,
        "__hash__": None,
    }
    built = type(cls.__name__, cls.__bases__, namespace)
    built.SHAPE = Shape(built, fields, **settings)  # type: ignore[attr-defined]
    return built


_OWN = frozenset({"__dict__", "__weakref__"})


def _field(name: str, spec: _Spec) -> Field:
    type_, versions, nullable, tagged, tag, default = spec.arguments
    if default is UNSET and isinstance(type_, Kind):
        default = type_.default
    return Field(name, type_, versions, nullable, tagged, tag, default)


def default_of(field_: Field) -> Any:
    """A fresh default value, as Kafka's generated classes have it."""
    if field_.default is not UNSET:
        return field_.default
    return [] if isinstance(field_.type, Array) else field_.type()


def _first_init(self: Any, **values: Any) -> None:
    cls = type(self)
    cls.__init__ = _compile_init(shape_of(cls))
    cls.__init__(self, **values)


def _compile_init(shape: Shape) -> Callable[..., None]:
    """``__init__`` as source: immutable defaults in the signature, fresh ones in the body."""
    environment: dict[str, Any] = {"UNSET": UNSET}
    parameters, body = [], []
    for number, each in enumerate(shape.fields):
        environment[f"d{number}"] = each.default
        parameters.append(f"{each.name}=d{number}")
        if each.default is UNSET:
            environment[f"t{number}"] = list if isinstance(each.type, Array) else each.type
            body.append(f" self.{each.name} = t{number}() if {each.name} is UNSET else {each.name}")
        else:
            body.append(f" self.{each.name} = {each.name}")
    signature = ", ".join(["self", *(["*", *parameters] if parameters else [])])
    exec(f"def __init__({signature}):\n" + "\n".join(body or [" pass"]), environment)
    init: Callable[..., None] = environment["__init__"]
    init.__qualname__ = f"{shape.cls.__name__}.__init__"
    return init


def _equal(self: Any, other: object) -> bool:
    if type(self) is not type(other):
        return False
    return all(getattr(self, each.name) == getattr(other, each.name) for each in shape_of(type(self)).fields)


def _repr(self: Any) -> str:
    """Only what differs from the default, so that a logged request stays readable."""
    shown = (
        f"{each.name}={getattr(self, each.name)!r}"
        for each in shape_of(type(self)).fields
        if getattr(self, each.name) != default_of(each)
    )
    return f"{type(self).__name__}({', '.join(shown)})"
