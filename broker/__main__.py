"""Runs one broker: ``python -m broker server.properties [--override name=value]...`` (kafka.Kafka).

Here are arguments, logging, signals and the event loop; everything else is in ``broker/broker.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

if __name__ == "__main__":  # ctrl-c while the modules below are loaded is no reason for a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from broker.broker import KafkaServer, StartupFailed
from broker.config import BROKER_KEY, ConfigError, KafkaConfig
from broker.host import Host, real_host
from broker.storage.room import has_room
from broker.wire.validation import compiled_reader

USAGE = "Usage: python -m broker server.properties [--override name=value]..."
KILLED_BY_SIGNAL = 130
SAME_SIGNAL_SECONDS = 1.0
SETTLED_SECONDS = 1.0
"""After its start a broker loads what is needed first by whoever writes to it: in a failover that would be too late."""
WAIT_FOR_ROOM = "KOPS_WAIT_FOR_ROOM"
"""Directories that were full, told by this process to itself when it starts anew."""

log = logging.getLogger("kafka.Kafka")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal. The exit status: 0 after a clean stop, 1 when the broker could not start or failed."""
    try:
        path, overrides = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    _log_to_stdout()
    host = real_host()
    config = _load(host, path, overrides)
    if config is None:
        return 1
    for entry in config.unknown:
        where = f"{path}: line {entry.line}" if entry.line else "--override"
        log.warning("%s: unknown setting %s is ignored", where, entry.name)
    idle = [name for name in config.originals if not BROKER_KEY[name].effect]
    if idle:
        log.info("%s: accepted without effect: %s", path, ", ".join(idle))
    return _run(_serve(host, config))


def parse_arguments(arguments: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The file, and what is to override it. Raises ValueError with the usage."""
    words = list(arguments)
    if not words or words[0] in ("-h", "--help"):
        raise ValueError(USAGE)
    path, overrides = words.pop(0), {}
    while words:
        option, _, value = words.pop(0).partition("=")
        setting = value or (words.pop(0) if words else "")
        name, separator, text = setting.partition("=")
        if option != "--override" or not separator or not name:
            raise ValueError(f"{option} {setting}: not understood\n{USAGE}")
        overrides[name.strip()] = text.strip()
    return path, overrides


def _load(host: Host, path: str, overrides: dict[str, str]) -> KafkaConfig | None:
    try:
        return KafkaConfig.load(host, os.path.abspath(path), overrides)
    except OSError as error:
        print(f"{path}: cannot be read: {error.strerror}", file=sys.stderr)
        print("Name a readable server.properties, for instance config/server.properties.", file=sys.stderr)
    except ConfigError as error:
        print(error, file=sys.stderr)
        print(f"Correct {path} (or the --override) and start again.", file=sys.stderr)
    return None


def _run(coroutine: Coroutine[Any, Any, int]) -> int:
    """uvloop where it installs, asyncio elsewhere; with as many descriptors as the system allows, as a JVM does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        import uvloop
    except ImportError:
        return asyncio.run(coroutine)
    return uvloop.run(coroutine)


async def _serve(host: Host, config: KafkaConfig) -> int:
    stopping = asyncio.Event()
    _handle_signals(stopping)
    await _wait_for_room(host, stopping)
    anew = _Anew(stopping)
    server = KafkaServer(host, config, _halt, anew.wanted)
    starting = asyncio.ensure_future(server.start())
    stop_asked = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({starting, stop_asked}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
    try:
        await starting
    except StartupFailed as error:
        log.error("[KafkaServer] exiting: %s", error.what)
        print(error.what, file=sys.stderr)
        print(error.todo, file=sys.stderr)
        await server.stop()
        stop_asked.cancel()
        return 1
    except asyncio.CancelledError:
        log.info("[KafkaServer id=%s] stopped while it was starting", config.broker_id)
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()
    loop.call_later(SETTLED_SECONDS, loop.run_in_executor, None, compiled_reader)
    await stop_asked
    await server.stop()
    if anew.is_wanted:
        _exec(())
    return 0


class _Anew:
    """A disk was full, or has room again: this process begins again from its start, under its number."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self.is_wanted = False
        self._stopping = stopping

    def wanted(self, dirs: tuple[str, ...], at_once: bool) -> None:
        """``at_once``: as after kill -9, to wait for room in one of ``dirs``."""
        if at_once:
            log.error("[KafkaServer] no log dir is left, for want of room in %s: starts anew", ", ".join(dirs))
            _exec(dirs)
        self.is_wanted = True
        self._stopping.set()


def _exec(dirs: tuple[str, ...]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[WAIT_FOR_ROOM] = os.pathsep.join(dirs)
    os.execv(sys.executable, sys.orig_argv)


async def _wait_for_room(host: Host, stopping: asyncio.Event) -> None:
    """Until one of the directories that were full is not; nothing is written before."""
    dirs = [path for path in os.environ.pop(WAIT_FOR_ROOM, "").split(os.pathsep) if path]
    if not dirs:
        return
    log.error("waiting for room in %s: make some, the broker goes on by itself then", ", ".join(dirs))
    while not stopping.is_set() and not any(has_room(host.files, path) for path in dirs):
        await host.clock.sleep(1.0)


def _handle_signals(stopping: asyncio.Event) -> None:
    """The first SIGTERM or SIGINT asks for a clean stop; a later one ends the process as kill -9 would.

    Later is a second later: terminals and ``timeout`` tell a process and its group, so that one signal comes twice.
    """
    loop = asyncio.get_running_loop()
    first = 0.0

    def on_signal(number: signal.Signals) -> None:
        nonlocal first
        if stopping.is_set():
            if loop.time() < first + SAME_SIGNAL_SECONDS:
                return
            log.warning("[KafkaServer] second %s: ending without a clean shutdown", number.name)
            os._exit(KILLED_BY_SIGNAL)
        log.info("Terminating process due to signal %s", number.name)
        first = loop.time()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def _halt(reason: str) -> None:
    """End at once, without a clean mark (Exit.halt); what ``reason`` says goes on, if at all, on a second line."""
    log.critical("[KafkaServer] halting: %s", reason.partition("\n")[0])
    print(f"The broker halted: {reason}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(1)


def _log_to_stdout() -> None:
    """Kafka's own pattern, so that whoever waits for ``[KafkaServer id=0] started`` finds it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        logging.Formatter("[%(asctime)s,%(msecs)03d] %(levelname)s %(message)s (%(name)s)", "%Y-%m-%d %H:%M:%S")
    )
    logging.basicConfig(level=os.environ.get("KOPS_LOG_LEVEL", "INFO").upper(), handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
