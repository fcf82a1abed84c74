"""Makes the reader and the writer of a message in one version (org.apache.kafka.message.MessageDataGenerator).

A codec is Python source, compiled at first use: one function per (class, version), nested structs unrolled into loops,
neighbouring fixed-size fields read or written by one struct call. A reader never trusts a length or a count beyond the
bytes there are: running out raises IndexError or struct.error, which ``broker.wire.codec`` turns into Malformed.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, calcsize
from typing import Any, Final

from broker.wire import primitives
from broker.wire.schema import BYTES, RECORDS, STRING, UUID_, Array, Field, Kind, Shape, default_of, shape_of


def reader(shape: Shape, version: int) -> Callable[[Any, int, int], tuple[Any, int]]:
    """``read(buffer, position, end) -> (message, position behind it)``."""
    found = shape.readers.get(version)
    if found is None:
        found = shape.readers[version] = _ReaderSource(version, shape.is_flexible(version)).compile(shape)
    return found


def writer(shape: Shape, version: int) -> Callable[[Any, bytearray], None]:
    """``write(message, out)`` appends the message to ``out``."""
    found = shape.writers.get(version)
    if found is None:
        found = shape.writers[version] = _WriterSource(version, shape.is_flexible(version)).compile(shape)
    return found


def parts_writer(shape: Shape, version: int) -> Callable[[Any, bytearray, list[Any]], None]:
    """``write(message, out, parts)`` leaves the message in ``parts``, large records among them as they are."""
    found = shape.parts_writers.get(version)
    if found is None:
        found = shape.parts_writers[version] = _PartsWriterSource(version, shape.is_flexible(version)).compile(shape)
    return found


def least_size(type_: Any, version: int, flexible: bool) -> int:
    """The fewest bytes that a value can take: what bounds the count of an array."""
    if isinstance(type_, Kind) and type_.format:
        return calcsize(">" + type_.format)
    if isinstance(type_, Kind | Array):
        return 1 if flexible else 2 if type_ is STRING else 4
    plain = (each for each in shape_of(type_).fields if each.in_version(version) and not each.is_tagged(version))
    return sum(_least_field(each, version, flexible) for each in plain) + flexible


def _least_field(field: Field, version: int, flexible: bool) -> int:
    if _is_struct(field.type) and field.is_nullable(version):
        return 1
    return least_size(field.type, version, flexible)


def _is_struct(type_: Any) -> bool:
    return not isinstance(type_, Kind | Array)


class _Source:
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


class _ReaderSource(_Source):
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
        elif _is_struct(field.type) and value is not None:
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
            if _is_struct(element):
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


_TAKE = {
    STRING.name: "str(buf[pos:{stop}], 'utf-8', 'replace')",
    BYTES.name: "bytes(buf[pos:{stop}])",
    RECORDS.name: "memoryview(buf)[pos:{stop}]",
}


class _WriterSource(_Source):
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


class _PartsWriterSource(_WriterSource):
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


_COPIED: Final = 8192
