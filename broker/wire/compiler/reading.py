"""The source of readers: ``read(buf, pos, end) -> (message, position behind it)``."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, calcsize
from typing import Any

from broker.wire.compiler.source import Source, is_struct, least_size
from broker.wire.schema import BYTES, RECORDS, STRING, UUID_, Array, Field, Kind, Shape, default_of, shape_of

_TAKE = {
    STRING.name: "str(buf[pos:{stop}], 'utf-8', 'replace')",
    BYTES.name: "bytes(buf[pos:{stop}])",
    RECORDS.name: "memoryview(buf)[pos:{stop}]",
}


class ReaderSource(Source):
    def compile(self, shape: Shape) -> Callable[[Any, int, int], tuple[Any, int]]:
        self.struct(shape, "m")
        self.emit("return m, pos")
        read: Callable[[Any, int, int], tuple[Any, int]] = self.build("read(buf, pos, end)", shape, "reader")
        return read

    def flush(self) -> None:
        """One unpack for the run; a single byte by index, which is faster."""
        run, self.run = self.run, []
        if not run:
            return
        if len(run) == 1 and run[0][0] == "B":
            self.raw(f"{run[0][1]} = buf[pos]", "pos += 1")
            return
        packed = Struct(">" + "".join(letter for letter, _ in run))
        unpack = self.fresh("unpack")
        self.names[unpack] = packed.unpack_from
        targets = ", ".join(target for _, target in run)
        self.raw(f"{targets}{',' if len(run) == 1 else ''} = {unpack}(buf, pos)", f"pos += {packed.size}")

    def struct(self, shape: Shape, target: str) -> None:
        """Make an object at ``target`` and read its fields; those that this version lacks get their defaults."""
        cls = self.bind(f"new_{shape.cls.__name__}", shape.cls)
        self.emit(f"{target} = {cls}.__new__({cls})")
        plain, tagged = self.fields(shape)
        uuids: list[tuple[str, str]] = []
        for each in shape.fields:
            if each not in plain:
                self.default(each, f"{target}.{each.name}")
        for each in plain:
            where = f"{target}.{each.name}"
            if each.type is UUID_:
                raw = self.fresh("u")
                self.run.append(("16s", raw))
                uuids.append((where, raw))
            else:
                self.field(each, where, each.is_nullable(self.version))
        if self.flexible:
            self.tags(shape, target, tagged)
        self.flush()
        self.raw(*(f"{where} = uuid_of({raw})" for where, raw in uuids))

    def default(self, field: Field, where: str) -> None:
        value = default_of(field)
        if isinstance(value, list):
            self.emit(f"{where} = []")
        elif is_struct(field.type) and value is not None:
            self.emit(f"{where} = {self.bind('default_' + field.type.__name__, field.type)}()")
        else:
            self.emit(f"{where} = {self.bind('value', value)}")

    def field(self, field: Field, where: str, nullable: bool) -> None:
        type_ = field.type
        if isinstance(type_, Array):
            self.array(type_, where, nullable)
        elif isinstance(type_, Kind):
            self.value(type_, where, nullable)
        elif nullable:
            mark = self.fresh("n")
            self.run.append(("b", mark))
            self.emit(f"if {mark} < 0:", f" {where} = None", "else:")
            self.nested(lambda: self.whole_struct(type_, where))
        else:
            self.whole_struct(type_, where)

    def whole_struct(self, cls: type, where: str) -> None:
        inner = self.fresh("m")
        self.struct(shape_of(cls), inner)
        self.emit(f"{where} = {inner}")

    def nested(self, body: Callable[[], None]) -> None:
        self.flush()
        self.depth += 1
        body()
        self.flush()
        self.depth -= 1

    def value(self, kind: Kind, where: str, nullable: bool) -> None:
        if kind.format and kind is not UUID_:
            self.run.append((kind.format, where))
        elif kind.format:
            raw = self.fresh("u")
            self.run.append((kind.format, raw))
            self.emit(f"{where} = uuid_of({raw})")
        else:
            size = self.length("h" if kind is STRING else "i")
            stop = self.fresh("e")
            self.emit(f"{stop} = pos + {size}", f"if {size} < 0:", f" {self.null(where, nullable)}")
            limit = f"{stop} > end or {size} > 32767" if kind is STRING else f"{stop} > end"
            self.raw(f"elif {limit}:", f" raise too_short({where!r}, {size}, end - pos)", "else:")
            self.raw(f" {where} = {_TAKE[kind.name].format(stop=stop)}", f" pos = {stop}")

    def null(self, where: str, nullable: bool) -> str:
        return f"{where} = None" if nullable else f"raise is_null({where!r})"

    def length(self, letter: str) -> str:
        """A name that holds a length or count after the next flush: -1 for null."""
        size = self.fresh("n")
        if not self.flexible:
            self.run.append((letter, size))
            self.flush()
            return size
        self.run.append(("B", size))
        self.emit(f"if {size} > 127:", f" {size}, pos = more_uvarint(buf, pos, {size})", f"{size} -= 1")
        return size

    def array(self, type_: Array, where: str, nullable: bool) -> None:
        """Read a list, after a check that so many elements can be there at all."""
        element = type_.element
        least = least_size(element, self.version, self.flexible)
        count = self.length("i")
        self.raw(f"if {count} < 0:", f" {self.null(where, nullable)}")
        self.raw(f"elif {count} * {least} > end - pos:", f" raise too_short({where!r}, {count}, end - pos)", "else:")
        self.nested(lambda: self.elements(element, where, count))

    def elements(self, element: Any, where: str, count: str) -> None:
        if isinstance(element, Kind) and element.format and element is not UUID_:
            size = calcsize(">" + element.format)
            self.raw(f"{where} = read_numbers({element.format!r}, {count}, buf, pos)", f"pos += {count} * {size}")
            return
        items, item = self.fresh("a"), self.fresh("m")
        self.raw(f"{items} = {where} = []", f"for _ in range({count}):")

        def body() -> None:
            if is_struct(element):
                self.struct(shape_of(element), item)
            else:
                self.value(element, item, nullable=False)
            self.emit(f"{items}.append({item})")

        self.nested(body)

    def tags(self, shape: Shape, target: str, tagged: list[Field]) -> None:
        count = self.fresh("t")
        self.run.append(("B", count))
        if not tagged:
            self.emit(f"if {count}:", f" pos = skip_tags(buf, pos, {count}, end)")
            return
        self.emit(f"if {count}:")
        self.nested(lambda: self.known_tags(shape, target, count, tagged))

    def known_tags(self, shape: Shape, target: str, count: str, tagged: list[Field]) -> None:
        tag, size, stop = self.fresh("tag"), self.fresh("n"), self.fresh("e")
        self.raw(f"if {count} > 127:", f" {count}, pos = more_uvarint(buf, pos, {count})", f"for _ in range({count}):")

        def body() -> None:
            self.raw(f"{tag}, pos = read_uvarint(buf, pos)", f"{size}, pos = read_uvarint(buf, pos)")
            self.raw(f"{stop} = pos + {size}", f"if {stop} > end: raise too_short('a tagged field', {size}, end - pos)")
            word = "if"
            for each in tagged:
                self.raw(f"{word} {tag} == {each.tag}:")
                self.nested(lambda each=each: self.known_tag(each, target, stop))  # type: ignore[misc]
                word = "elif"
            self.raw(f"pos = {stop}")

        self.nested(body)

    def known_tag(self, field: Field, target: str, stop: str) -> None:
        where = f"{target}.{field.name}"
        self.field(field, where, field.is_nullable(self.version))
        self.emit(f"if pos != {stop}: raise too_short({where!r}, pos, {stop})")
