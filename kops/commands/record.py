"""``kops produce`` and ``kops consume`` (``kops record ...``): records from and to lines, files, pipes and NDJSON."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Annotated

import typer

from kops.cluster import records, topics
from kops.cluster.records import ConsumeOptions, ProduceOptions, Record, Summary
from kops.cluster.times import moment
from kops.commands.options import command, noun
from kops.commands.run import Run, pairs
from kops.errors import BadUsage, Exit, Failed, translate
from kops.render.records import FIELDS, LineForm, LineReader, as_csv, as_json, from_json
from kops.words import counted

app = typer.Typer(help="Records.", no_args_is_help=True, rich_markup_mode=None)
produce_app = typer.Typer(rich_markup_mode=None)
consume_app = typer.Typer(rich_markup_mode=None)
noun(app)

Topic = Annotated[str | None, typer.Argument(metavar="TOPIC", show_default=False)]
TopicOption = Annotated[str | None, typer.Option("--topic", help="The topic (as Apache's tools take it).")]
Property = Annotated[
    list[str] | None, typer.Option("--property", help="Apache's reader and formatter settings.", metavar="K=V")
]
_CHUNK = 262_144
_MOST_TOLD = 3
_CODECS = {"none": None, "gzip": "gzip", "snappy": "snappy", "lz4": "lz4", "zstd": "zstd"}


@command(produce_app, "produce", kind="Produced")
@command(app, "produce", kind="Produced")
def produce(
    run: Run,
    topic_name: Topic = None,
    topic: TopicOption = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Read from this file.", metavar="FILE")] = None,
    source: Annotated[str, typer.Option("--from", help="lines or ndjson", metavar="FORM")] = "lines",
    key_separator: Annotated[
        str | None, typer.Option("--key-separator", "-K", help="Key and value are divided by it.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="A header for every record.", metavar="NAME=VALUE")
    ] = None,
    partition: Annotated[int | None, typer.Option("--partition", help="Write to this partition only.")] = None,
    keep_partition: Annotated[
        bool, typer.Option("--keep-partition", help="As NDJSON says, each to its partition.")
    ] = False,
    acks: Annotated[str, typer.Option("--acks", "--request-required-acks", help="0, 1 or all")] = "all",
    compression: Annotated[
        str, typer.Option("--compression", "--compression-codec", "-z", help="none gzip snappy lz4 zstd")
    ] = "none",
    idempotent: Annotated[
        bool, typer.Option("--idempotent/--no-idempotent", help="Nothing twice, whatever is retried.")
    ] = True,
    rate: Annotated[float | None, typer.Option("--rate", help="Records per second.")] = None,
    linger: Annotated[int, typer.Option("--linger-ms", help="Wait so long for more to send together.")] = 5,
    properties: Property = None,
    producer_property: Annotated[
        list[str] | None, typer.Option("--producer-property", help="acks, compression.type, linger.ms", metavar="K=V")
    ] = None,
) -> None:
    """Write records: typed lines, a pipe or a file; each line is a value, or key and value, or a record in NDJSON."""
    run.change("produce")
    wanted = pairs(producer_property or [], "--producer-property")
    options = ProduceOptions(
        acks=_acks(wanted.get("acks", acks)),
        compression=_codec(wanted.get("compression.type", compression)),
        idempotent=idempotent and wanted.get("enable.idempotence", "true") == "true",
        linger_ms=int(wanted.get("linger.ms", linger)),
        rate=rate,
        keep_partition=keep_partition or partition is not None,
    )
    reader = _reader(pairs(properties or [], "--property"), key_separator, header or [], partition)
    parse: Callable[[bytes, int], Record] = {"lines": reader.record, "ndjson": from_json}.get(source, _no_form)
    if parse is _no_form:
        raise BadUsage(f"--from {source}: there is no such form", "lines or ndjson.")
    name = _one_topic(topic_name, topic, "`kops produce NAME`, and type lines")
    topics.check_name(name)
    failures = Failures(run)
    summary = asyncio.run(_produce(run, name, options, file, parse, failures))
    if summary.new and summary.records:
        run.out.say(f"note: topic {name} was not there, it is new (auto.create.topics.enable)")
    run.out.say(_told(summary, f"to {name}"))
    if summary.failed:
        why = _why_not_written(run, name)
        what = counted(summary.failed, "record", "was", "were") + " not written"
        raise Failed(what + (f": {why}" if why else ""), "See `kops partition list`." if why else failures.advice)


class Failures:
    """Tells of the first records that were not written. ``advice``: what to do about the last one."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._told = 0
        self.advice = ""

    def tell(self, record: Record, error: BaseException) -> None:
        known = translate(error) or Failed(str(error))
        self.advice = known.do
        self._told += 1
        if self._told <= _MOST_TOLD:
            size = counted(len(record.value or b""), "byte")
            self._run.out.complain(Failed(f"a record of {size} was not written: {known.what}"))


def _why_not_written(run: Run, topic: str) -> str | None:
    """What the cluster tells of the topic; nothing when it tells nothing."""
    try:
        return topics.why_not_writable(run.session, topic)
    except Exception as error:
        known = translate(error)
        if known is None:
            raise
        return known.what


async def _produce(
    run: Run,
    topic: str,
    options: ProduceOptions,
    file: str | None,
    parse: Callable[[bytes, int], Record],
    failures: Failures,
) -> Summary:
    typed = file is None and sys.stdin.isatty()
    descriptor = sys.stdin.fileno() if file is None else _open(file)
    return await records.produce(run.session, topic, _records(descriptor, parse, prompt=typed), options, failures.tell)


async def _records(
    descriptor: int, parse: Callable[[bytes, int], Record], *, prompt: bool
) -> AsyncIterator[list[Record]]:
    """Whole lines as soon as they are there; the last one also without its line end."""
    rest, number = b"", 0
    while True:
        if prompt:
            print(">", end="", file=sys.stderr, flush=True)
        chunk = await _read(descriptor)
        *lines, rest = (rest + chunk).split(b"\n") if chunk else ([rest, b""] if rest else [b""])
        batch = []
        for line in lines:
            number += 1
            batch.append(parse(line.removesuffix(b"\r"), number))
        if batch:
            yield batch
        if not chunk:
            return


async def _read(descriptor: int) -> bytes:
    """What is there next. Asyncio's own threads would be waited for at the end: ctrl-c would need a last line typed."""
    import threading

    loop = asyncio.get_running_loop()
    chunk: asyncio.Future[bytes] = loop.create_future()

    def settle(read: bytes, error: OSError | None) -> None:
        if chunk.done():
            return
        if error is None:
            chunk.set_result(read)
        else:
            chunk.set_exception(error)

    def wait() -> None:
        read, failure = b"", None
        try:
            read = os.read(descriptor, _CHUNK)
        except OSError as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody wants it any more
            loop.call_soon_threadsafe(settle, read, failure)

    threading.Thread(target=wait, daemon=True).start()
    return await chunk


@command(consume_app, "consume", kind="Record")
@command(app, "consume", kind="Record")
def consume(
    run: Run,
    topic_name: Topic = None,
    topic: TopicOption = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="From the first record that is there.")
    ] = False,
    partition: Annotated[list[int] | None, typer.Option("--partition", "-p", help="Only this partition.")] = None,
    offset: Annotated[str | None, typer.Option("--offset", help="earliest, latest or a number")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="-10m, 2026-01-31T12:00:00Z or epoch ms", metavar="TIME")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", "-g", help="Read as a member of this group, and commit.")
    ] = None,
    max_messages: Annotated[int | None, typer.Option("--max-messages", "-n", help="Stop after so many.")] = None,
    timeout_ms: Annotated[int | None, typer.Option("--timeout-ms", help="Stop when nothing came for so long.")] = None,
    exit_at_end: Annotated[bool, typer.Option("--exit", "-e", help="Stop at what is the end now.")] = False,
    print_key: Annotated[bool, typer.Option("--print-key", "--key", help="Key before the value.")] = False,
    print_headers: Annotated[
        bool, typer.Option("--print-headers", "--headers", help="Headers before the value.")
    ] = False,
    print_timestamp: Annotated[bool, typer.Option("--print-timestamp", help="Timestamp first.")] = False,
    print_partition: Annotated[bool, typer.Option("--print-partition", help="Partition before the value.")] = False,
    print_offset: Annotated[bool, typer.Option("--print-offset", help="Offset before the value.")] = False,
    isolation_level: Annotated[str, typer.Option("--isolation-level", help="or read_committed")] = "read_uncommitted",
    properties: Property = None,
) -> None:
    """Read records: from the end on, or where --from-beginning, --offset or --since says; with --group where it was."""
    given = pairs(properties or [], "--property")
    shown = {"key": print_key, "headers": print_headers, "timestamp": print_timestamp}
    shown |= {"partition": print_partition, "offset": print_offset}
    form = _line_form(given, shown)
    options = ConsumeOptions(
        partitions=tuple(partition or ()),
        start=_start(offset, from_beginning),
        timestamp=moment(since) if since else None,
        max_messages=max_messages,
        idle_ms=timeout_ms,
        to_end=exit_at_end,
        committed_only=isolation_level == "read_committed",
        group=group,
    )
    if group is not None and (partition or offset is not None or since):
        raise BadUsage("a group says itself where it reads", "Leave out --partition, --offset and --since.")
    if offset not in (None, "earliest", "latest") and not partition:
        raise BadUsage("--offset NUMBER needs --partition", "An offset means something in one partition only.")
    as_text = as_json if run.out.structured else as_csv if run.out.form == "csv" else None
    write = (lambda record: as_text(record).encode() + b"\n") if as_text else form.line
    if run.out.form == "csv" and run.out.headers:
        print(",".join(FIELDS), flush=True)
    summary = Summary()
    try:
        asyncio.run(
            _consume(
                run, _one_topic(topic_name, topic, "`kops consume NAME --from-beginning`"), options, write, summary
            )
        )
    except KeyboardInterrupt:
        run.out.say(_told(summary, "read"))
        raise typer.Exit(int(Exit.INTERRUPTED)) from None
    run.out.say(_told(summary, "read"))


async def _consume(
    run: Run, topic: str, options: ConsumeOptions, write: Callable[[Record], bytes], summary: Summary
) -> None:
    import time

    began, sink = time.monotonic(), sys.stdout.buffer
    try:
        async for batch in records.consume(run.session, topic, options):
            sink.write(b"".join(map(write, batch)))
            sink.flush()
            for record in batch:
                summary.count(record)
    finally:
        summary.seconds = time.monotonic() - began


def _one_topic(positional: str | None, option: str | None, example: str) -> str:
    name = positional or option
    if not name:
        raise BadUsage("no topic is named", f"For example {example}. All options: --help.")
    return name


def _reader(given: dict[str, str], key_separator: str | None, headers: list[str], partition: int | None) -> LineReader:
    """Options, and Apache's --property names of LineMessageReader, as one reader."""
    parse_key = key_separator is not None or given.get("parse.key") == "true"
    separator = key_separator or given.get("key.separator", "\t")
    marker = given.get("null.marker")
    return LineReader(
        key_separator=separator.encode() if parse_key else None,
        headers=tuple((name, value.encode()) for name, value in pairs(headers, "--header").items()),
        parse_headers=given.get("parse.headers") == "true",
        headers_delimiter=given.get("headers.delimiter", "\t").encode(),
        headers_separator=given.get("headers.separator", ",").encode(),
        headers_key_separator=given.get("headers.key.separator", ":").encode(),
        null_marker=None if marker is None else marker.encode(),
        ignore_error=given.get("ignore.error") == "true",
        partition=partition,
    )


def _line_form(given: dict[str, str], shown: dict[str, bool]) -> LineForm:
    """Options, and Apache's --property names of DefaultMessageFormatter, as one form."""
    switches = {name: given.get(f"print.{name}", str(on).lower()) == "true" for name, on in shown.items()}
    return LineForm(
        **switches,
        value=given.get("print.value", "true") == "true",
        key_separator=given.get("key.separator", "\t").encode(),
        headers_separator=given.get("headers.separator", ",").encode(),
        line_separator=given.get("line.separator", "\n").encode(),
        null=given.get("null.literal", "null").encode(),
    )


def _acks(text: str) -> int | str:
    known: dict[str, int | str] = {"0": 0, "1": 1, "all": "all", "-1": "all"}
    if text not in known:
        raise BadUsage(f"--acks {text}: there is no such acknowledgement", "0, 1 or all.")
    return known[text]


def _codec(text: str) -> str | None:
    if text not in _CODECS:
        raise BadUsage(f"--compression {text}: there is no such codec", f"One of {', '.join(_CODECS)}.")
    return _CODECS[text]


def _start(offset: str | None, from_beginning: bool) -> int:
    if offset is None:
        return records.EARLIEST if from_beginning else records.LATEST
    if from_beginning:
        raise BadUsage("--offset and --from-beginning say different things", "Leave one of them out.")
    known = {"earliest": records.EARLIEST, "latest": records.LATEST}
    if offset in known:
        return known[offset]
    if not offset.isdigit():
        raise BadUsage(f"--offset {offset}: not an offset", "earliest, latest or a number from 0.")
    return int(offset)


def _open(file: str) -> int:
    try:
        return os.open(file, os.O_RDONLY)
    except OSError as error:
        raise BadUsage(f"cannot read {file}: {(error.strerror or '').lower()}", "Name a file that is there.") from error


def _no_form(line: bytes, number: int) -> Record:
    raise NotImplementedError


def _told(summary: Summary, where: str) -> str:
    per_second = summary.records / summary.seconds if summary.seconds else 0
    moved = f"{counted(summary.records, 'record')} {where}, {counted(summary.bytes, 'byte')}"
    return f"{moved}, {summary.seconds:.2f} s ({per_second:.0f}/s)"
