"""The source of writers: ``write(m, out)`` appends to a bytearray; a parts writer leaves large records as they are."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from broker.wire import primitives
from broker.wire.compiler.source import Source
from broker.wire.schema import RECORDS, STRING, UUID_, Array, Field, Kind, Shape, default_of, shape_of

_COPIED: Final = 8192


class WriterSource(Source):
    def __init__(self, version: int, flexible: bool) -> None:
        super().__init__(version, flexible)
        self.out = "out"

    def compile(self, shape: Shape) -> Callable[[Any, bytearray], None]:
        self.struct(shape, "m")
        self.emit("return None")
        write: Callable[[Any, bytearray], None] = self.build("write(m, out)", shape, "writer")
        return write

    def flush(self) -> None:
        run, self.run = self.run, []
        if not run:
            return
        if all(letter == "x" for letter, _ in run):
            self.raw(f"{self.out} += {bytes(len(run))!r}")
            return
        pack = self.fresh("pack")
        self.names[pack] = Struct(">" + "".join(letter for letter, _ in run)).pack
        self.raw(f"{self.out} += {pack}({', '.join(value for letter, value in run if letter != 'x')})")

    def struct(self, shape: Shape, source: str) -> None:
        plain, tagged = self.fields(shape)
        for each in plain:
            self.field(each.type, f"{source}.{each.name}", each.is_nullable(self.version))
        if self.flexible and tagged:
            self.tags(source, tagged)
        elif self.flexible:
            self.run.append(("x", ""))

    def field(self, type_: Any, source: str, nullable: bool) -> None:
        if isinstance(type_, Array):
            self.array(type_.element, source, nullable)
        elif isinstance(type_, Kind) and type_.format:
            self.run.append((type_.format, f"{source}.bytes" if type_ is UUID_ else source))
        elif isinstance(type_, Kind):
            self.sized(type_, source, nullable)
        else:
            self.struct_field(type_, source, nullable)

    def struct_field(self, cls: type, source: str, nullable: bool) -> None:
        inner = self.fresh("m")
        self.emit(f"{inner} = {source}")
        if not nullable:
            self.struct(shape_of(cls), inner)
            return
        self.raw(f"if {inner} is None:", f" {self.out} += b'\\xff'", "else:")
        self.depth += 1
        self.run.append(("b", "1"))
        self.struct(shape_of(cls), inner)
        self.flush()
        self.depth -= 1

    def sized(self, kind: Kind, source: str, nullable: bool) -> None:
        """A string or bytes: length, then content."""
        value = self.fresh("s")
        self.emit(
            f"{value} = {source}",
            f"if {value} is None:",
            f" {self.null('h' if kind is STRING else 'i', source, nullable)}",
        )
        self.raw("else:")
        self.depth += 1
        if kind is STRING:
            self.raw(f"{value} = {value}.encode('utf-8', 'replace')")
            if self.flexible:
                self.raw(f"if len({value}) > 32767: raise ValueError({source + ' is longer than 32767 bytes'!r})")
        self.length("h" if kind is STRING else "i", f"len({value})")
        if kind is RECORDS:
            self.records(value)
        else:
            self.emit(f"{self.out} += {value}")
        self.depth -= 1

    def records(self, value: str) -> None:
        self.emit(f"{self.out} += {value}")

    def null(self, letter: str, source: str, nullable: bool) -> str:
        if not nullable:
            return f"raise ValueError({f'{source} is null, which version {self.version} cannot carry'!r})"
        null = bytes(1) if self.flexible else Struct(">" + letter).pack(-1)
        return f"{self.out} += {null!r}"

    def length(self, letter: str, expression: str) -> None:
        if not self.flexible:
            self.run.append((letter, expression))
            return
        size = self.fresh("n")
        self.emit(f"{size} = {expression} + 1", f"if {size} < 128: {self.out}.append({size})")
        self.raw(f"else: {self.out} += uvarint({size})")

    def array(self, element: Any, source: str, nullable: bool) -> None:
        values = self.fresh("a")
        self.emit(f"{values} = {source}", f"if {values} is None:", f" {self.null('i', source, nullable)}", "else:")
        self.depth += 1
        self.length("i", f"len({values})")
        if isinstance(element, Kind) and element.format and element is not UUID_:
            self.emit(f"{self.out} += write_numbers({element.format!r}, {values})")
        else:
            item = self.fresh("m")
            self.emit(f"for {item} in {values}:")
            self.depth += 1
            if isinstance(element, Kind):
                self.field(element, item, nullable=False)
            else:
                self.struct(shape_of(element), item)
            self.emit("pass")
            self.depth -= 1
        self.flush()
        self.depth -= 1

    def tags(self, source: str, tagged: list[Field]) -> None:
        """Tagged fields that differ from their default, in the order of their tags."""
        count, tags, body = self.fresh("t"), self.fresh("tags"), self.fresh("body")
        self.emit(f"{count} = 0", f"{tags} = bytearray()")
        outer = self.out
        for each in tagged:
            value = f"{source}.{each.name}"
            self.emit(f"if {self.differs(value, each)}:")
            self.depth += 1
            self.emit(f"{count} += 1", f"{body} = bytearray()")
            self.out = body
            self.field(each.type, value, each.is_nullable(self.version))
            self.flush()
            self.out = outer
            self.emit(f"{tags} += {primitives.uvarint(each.tag)!r} + uvarint(len({body})) + {body}")
            self.depth -= 1
        self.emit(f"{self.out} += uvarint({count})", f"{self.out} += {tags}")

    def differs(self, value: str, field: Field) -> str:
        """Whether a tagged field is worth writing; a struct's ``==`` would cost more than the rest of a reply."""
        default = default_of(field)
        if default is None:
            return f"{value} is not None"
        if isinstance(field.type, Array):
            return value
        if isinstance(field.type, Kind):
            return f"{value} != {self.bind('value', default)}"
        return " or ".join(self.differs(f"{value}.{each.name}", each) for each in shape_of(field.type).fields)


class PartsWriterSource(WriterSource):
    def compile(self, shape: Shape) -> Callable[..., None]:
        self.struct(shape, "m")
        self.emit("parts.append(out)")
        write: Callable[..., None] = self.build("write(m, out, parts)", shape, "parts writer")
        return write

    def records(self, value: str) -> None:
        self.emit(
            f"if len({value}) > {_COPIED}:", " parts.append(out)", f" parts.append({value})", " out = bytearray()"
        )
        self.raw("else:", f" out += {value}")
