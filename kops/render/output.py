"""Where a command's data goes: one ``Output`` per command knows the format, the terminal and the two streams."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO, TypeVar

from kops.columns import Column, View
from kops.errors import KopsError
from kops.render import documents, text

T = TypeVar("T")
FORMATS = ("table", "wide", "json", "yaml", "ndjson", "csv", "name", "kafka")


class Output:
    """``form`` is one of FORMATS. ``dry_run`` marks documents. Data to ``stdout``, narration to ``stderr``."""

    def __init__(
        self,
        form: str = "table",
        *,
        headers: bool = True,
        color: bool = True,
        quiet: bool = False,
        dry_run: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.form = form
        self.headers = headers
        self.color = color
        self.quiet = quiet
        self.dry_run = dry_run
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self._streaming = False

    @property
    def structured(self) -> bool:
        """Whether a program reads it: nothing but documents may be on stdout."""
        return self.form in ("json", "yaml", "ndjson")

    def items(
        self,
        view: View[T],
        items: Sequence[T],
        errors: Sequence[KopsError] = (),
        kafka: Callable[[Sequence[T]], Iterable[str]] | None = None,
        **extra: Any,
    ) -> None:
        """Everything a command has to show. ``kafka``: Apache's layout, where it has one."""
        for line in self._lines(view, items, errors, kafka, extra):
            print(line, file=self.stdout)
        self.stdout.flush()

    def _lines(
        self,
        view: View[T],
        items: Sequence[T],
        errors: Sequence[KopsError],
        kafka: Callable[[Sequence[T]], Iterable[str]] | None,
        extra: Mapping[str, Any],
    ) -> Iterator[str]:
        if self.structured:
            yield self.whole(view.kind, [view.document(item) for item in items], errors, **extra)
        elif self.form == "kafka" and kafka is not None:
            yield from kafka(items)
        elif self.form == "name":
            yield from (view.name(item) for item in items)
        elif items or not errors:  # a heading over nothing looks like an answer
            yield from self._table(view, items)

    def whole(
        self, kind: str, items: Sequence[Mapping[str, Any]], errors: Sequence[KopsError] = (), **extra: Any
    ) -> str:
        """The one document of a command, in the structured format chosen."""
        marked = {"dryRun": True} | extra if self.dry_run else extra
        content = documents.document(kind, items, errors, **marked)
        if self.form == "yaml":
            return documents.as_yaml(content)
        return documents.as_ndjson(content) if self.form == "ndjson" else documents.as_json(content)

    def _table(self, view: View[T], items: Sequence[T]) -> Iterator[str]:
        columns = self._columns(view)
        titles = [column.title for column in columns]
        rows = [[column.value(item) for column in columns] for item in items]
        if self.form == "csv":
            yield from text.csv_lines(titles, rows, headers=self.headers)
        elif self.stdout.isatty() or os.environ.get("KOPS_TABLE") == "aligned":
            yield from text.aligned(titles, rows, headers=self.headers, color=self.color)
        else:
            yield from text.tabbed(titles, rows, headers=self.headers)

    def _columns(self, view: View[T]) -> list[Column[T]]:
        return [column for column in view.columns if not column.wide or self.form in ("wide", "csv")]

    def stream(self, view: View[T], item: T) -> None:
        """One item of a stream as soon as it is there: a line of NDJSON, or of a table whose header comes once."""
        if self.form in ("json", "ndjson", "yaml"):
            line = documents.as_ndjson(view.document(item))
        elif self.form == "name":
            line = view.name(item)
        else:
            line = self._streamed_row(view, item)
        print(line, file=self.stdout, flush=True)

    def _streamed_row(self, view: View[T], item: T) -> str:
        columns = self._columns(view)
        layout = text.csv_lines if self.form == "csv" else text.tabbed
        rows = layout(
            [column.title for column in columns],
            [[column.value(item) for column in columns]],
            headers=self.headers and not self._streaming,
        )
        self._streaming = True
        return "\n".join(rows)

    def say(self, line: str = "") -> None:
        """Narration for people, on stderr, unless --quiet."""
        if not self.quiet:
            print(line, file=self.stderr, flush=True)

    def complain(self, error: KopsError) -> None:
        """The two lines of an error: what failed and why, what to do. Said even when --quiet."""
        print(f"kops: {error.what}", file=self.stderr)
        if error.do:
            print(f"      {error.do}", file=self.stderr)
        self.stderr.flush()
