"""``python -m broker.zookeeper FILE`` runs a ZooKeeper server (ZooKeeperServerMain)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import sys

if __name__ == "__main__":  # ctrl-c while the modules below are loaded is no reason for a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from broker.host import Host, real_host
from broker.zookeeper.config import ConfigError, ZooKeeperConfig
from broker.zookeeper.recovery import DataDamaged, repair
from broker.zookeeper.server import ZooKeeperServer

USAGE = """usage: python -m broker.zookeeper FILE [--override NAME=VALUE]... [--repair]

Runs a standalone ZooKeeper server with the settings in FILE (zoo.cfg or zookeeper.properties).

  --override NAME=VALUE  use this instead of what FILE says; may be repeated
  --repair               before the start, cut damaged logs where the damage begins and set the rest aside
"""

BAD_SETTINGS, BAD_DATA, DISK_FAILED = 2, 3, 10
"""Exit codes."""


def main(arguments: list[str]) -> int:
    """0 after SIGTERM or SIGINT; another number, after one line on stderr, when it cannot start or go on."""
    path: str | None = None
    overrides: list[str] = []
    wants_repair = False
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument in ("-h", "--help"):
            print(USAGE, end="")
            return 0
        if argument == "--override" and rest:
            overrides.append(rest.pop(0))
        elif argument.startswith("--override="):
            overrides.append(argument.removeprefix("--override="))
        elif argument == "--repair":
            wants_repair = True
        elif path is None and not argument.startswith("-"):
            path = argument
        else:
            return _fail(BAD_SETTINGS, f"{argument}: not understood\n{USAGE}")
    if path is None:
        return _fail(BAD_SETTINGS, USAGE)
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="[%(asctime)s] %(levelname)s %(message)s (%(name)s)"
    )
    _raise_descriptor_limit()
    host = real_host()
    try:
        config = ZooKeeperConfig.load(host.files, path, overrides)
    except ConfigError as error:
        return _fail(BAD_SETTINGS, str(error))
    for warning in config.warnings:
        logging.getLogger("zookeeper").warning("%s", warning)
    if wants_repair:
        for line in repair(host.files, config.log_dir):
            print(line, flush=True)
    return _run(host, config)


def _run(host: Host, config: ZooKeeperConfig) -> int:
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(host, config))
    except ImportError:
        return asyncio.run(_serve(host, config))


async def _serve(host: Host, config: ZooKeeperConfig) -> int:
    server = ZooKeeperServer(host, config)
    stop: asyncio.Event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await server.start()
    except DataDamaged as damage:
        return _fail(BAD_DATA, str(damage))
    except BlockingIOError:
        return _fail(BAD_DATA, f"{config.data_dir}: in use by another ZooKeeper server; stop that one first")
    except OSError as error:
        return _fail(BAD_DATA if error.errno != errno.ENOSPC else DISK_FAILED, _explain(error, config))
    gc.freeze()
    stopping = loop.create_task(stop.wait())
    await asyncio.wait((stopping, server.failed), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if server.failed.done():
        cause = server.failed.result()
        _fail(DISK_FAILED, f"{config.log_dir}: {cause}; make room or replace the disk, then start again")
        os._exit(DISK_FAILED)  # a thread may hang in the failed disk
    await server.stop()
    return 0


def _raise_descriptor_limit() -> None:
    """As many connections as the system allows, as a JVM does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _explain(error: OSError, config: ZooKeeperConfig) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {config.client_port} is in use; stop who uses it, or set another clientPort"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{config.client_host} is no address of this machine; correct clientPortAddress, or leave it out"
    where = error.filename or config.data_dir
    return f"{where}: {error.strerror or error}; make the directory usable, or set another dataDir"


def _fail(code: int, text: str) -> int:
    print(text.rstrip(), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
