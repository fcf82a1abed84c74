"""Source under construction, and what reading and writing have in common."""

from __future__ import annotations

from struct import calcsize
from typing import Any

from broker.wire import primitives
from broker.wire.schema import STRING, Array, Field, Kind, Shape, shape_of


def least_size(type_: Any, version: int, flexible: bool) -> int:
    """The fewest bytes that a value can take: what bounds the count of an array."""
    if isinstance(type_, Kind) and type_.format:
        return calcsize(">" + type_.format)
    if isinstance(type_, Kind | Array):
        return 1 if flexible else 2 if type_ is STRING else 4
    plain = (each for each in shape_of(type_).fields if each.in_version(version) and not each.is_tagged(version))
    return sum(_least_field(each, version, flexible) for each in plain) + flexible


def _least_field(field: Field, version: int, flexible: bool) -> int:
    if is_struct(field.type) and field.is_nullable(version):
        return 1
    return least_size(field.type, version, flexible)


def is_struct(type_: Any) -> bool:
    return not isinstance(type_, Kind | Array)


class Source:
    """Lines of source with the names they use; ``run`` holds fixed-size values that wait for one struct call."""

    def __init__(self, version: int, flexible: bool) -> None:
        self.version = version
        self.flexible = flexible
        self.lines: list[str] = []
        self.names: dict[str, Any] = {name: getattr(primitives, name) for name in primitives.CALLED_BY_CODECS}
        self.depth = 1
        self.counter = 0
        self.run: list[tuple[str, str]] = []

    def fresh(self, stem: str) -> str:
        self.counter += 1
        return f"{stem}{self.counter}"

    def bind(self, stem: str, value: Any) -> str:
        """A name for a constant of the source."""
        for name, bound in self.names.items():
            if bound is value and name.startswith(stem):
                return name
        name = self.fresh(stem)
        self.names[name] = value
        return name

    def emit(self, *lines: str) -> None:
        self.flush()
        self.raw(*lines)

    def raw(self, *lines: str) -> None:
        self.lines.extend(" " * self.depth + line for line in lines)

    def flush(self) -> None:
        raise NotImplementedError

    def fields(self, shape: Shape) -> tuple[list[Field], list[Field]]:
        """(fields in order, tagged fields by tag) of this version."""
        present = [each for each in shape.fields if each.in_version(self.version)]
        tagged = [each for each in present if self.flexible and each.is_tagged(self.version)]
        plain = [each for each in present if each not in tagged]
        return plain, sorted(tagged, key=lambda each: each.tag)

    def build(self, signature: str, shape: Shape, kind: str) -> Any:
        source = f"def {signature}:\n" + "\n".join(self.lines)
        code = compile(source, f"<{kind} {shape.cls.__name__} v{self.version}>", "exec")
        exec(code, self.names)
        return self.names[signature.partition("(")[0]]
