"""Compiles the way of a request through the broker, from the same source, where that can be done (docs/performance.md).

Everything else about the package is in pyproject.toml. Interpreted it does the same, only slower: in a checkout
(``pip install -e``), without a C compiler or Python's headers, and with ``KOPS_COMPILE=0``. With ``KOPS_COMPILE=1`` a
compiler that fails fails the installation.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

log = logging.getLogger("kops")

COMPILED = {
    "api": "context fetch leaders metadata produce table",
    "host": "timers",
    "network": "connection departures dispatch memory",
    "replication": "fetch_sessions hosted partition purgatory quota reads replicas",
    "storage": "admission leader_epochs log positions producer_state reading results retention room segment"
    " timestamps unsynced",
    "wire": "batch codec columns frame hot primitives records validation",
}
"""What a Produce, a Fetch or a Metadata passes through, from its frame to the frame of its reply, by package."""


def can_compile() -> bool:
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return os.environ.get("KOPS_COMPILE") != "0" and shutil.which(compiler) is not None and headers.exists()


def extensions() -> list[Extension]:
    if "bdist_wheel" not in sys.argv or not can_compile():
        return []
    os.environ.setdefault("CFLAGS", "-g0")
    files = [f"broker/{package}/{name}.py" for package, names in COMPILED.items() for name in names.split()]
    try:
        from mypyc.build import mypycify

        # Types are scripts/check's business; the libraries that they come from are not installed yet.
        options = ["--config-file=", "--ignore-missing-imports"]
        return list(mypycify([*options, *files], opt_level="3", group_name="broker"))
    except (ImportError, SystemExit) as error:
        leave_interpreted(error)
        return []


def leave_interpreted(error: BaseException) -> None:
    if os.environ.get("KOPS_COMPILE") == "1":
        raise error
    log.warning("kops is not compiled: %s", error)


class BuildWhatCompiles(build_ext):
    """All or nothing, and by itself no reason for an installation to fail. The modules' common library comes first."""

    def run(self) -> None:
        try:
            super().run()
        except (BaseError, CCompilerError, OSError) as error:
            leave_interpreted(error)
            self.extensions.clear()


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildWhatCompiles})
