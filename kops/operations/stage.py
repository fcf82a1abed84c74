"""A folder of its own in which command lines are shown, run and checked, and from which nothing is left running."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kops.errors import Failed
from kops.local import processes, state

Tell = Callable[[str], None]


class Stage:
    """Runs ``kops`` lines with a state and contexts of their own, so that the user's are not touched.

    ``wait``: called before each step that is shown, for --step.
    """

    def __init__(self, tell: Tell, wait: Callable[[], None]) -> None:
        self.tell = tell
        self.wait = wait
        self.folder = Path(tempfile.mkdtemp(prefix="kops-quickstart-"))
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("KOPS_")} | {
            "XDG_CONFIG_HOME": str(self.folder / ".config"),
            "XDG_STATE_HOME": str(self.folder / ".state"),
            "NO_COLOR": "1",
            "KOPS_TABLE": "aligned",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        }

    def title(self, text: str) -> None:
        self.tell(f"\n=== {text}")

    def show(self, line: str) -> str:
        """Show a command line, then run it and show what it says. Its output. Raises Failed when it fails."""
        self.wait()
        self.tell(f"\n$ {line}")
        done = self._run(line, stderr=subprocess.STDOUT)
        for said in done.stdout.splitlines():
            self.tell(f"  {said}")
        if done.returncode:
            raise Failed(f"`{line}` ended with exit code {done.returncode}", f"The servers' logs: {self.folder}")
        return done.stdout

    def ask(self, line: str) -> str:
        """Run a line without showing it; its standard output. Raises Failed when it fails."""
        done = self._run(line, stderr=subprocess.PIPE)
        if done.returncode:
            raise Failed(f"`{line}`: {done.stderr.strip()}", f"The servers' logs: {self.folder}")
        return done.stdout

    def _run(self, line: str, stderr: int) -> "subprocess.CompletedProcess[str]":
        kops = f"{shlex.quote(sys.executable)} -m kops"
        script = f'kops() {{ {kops} "$@"; }}; {line}'
        return subprocess.run(
            ["/bin/sh", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=120,
            check=False,
        )

    def check(self, what: str, holds: bool) -> None:
        """Say that something was checked. Raises Failed when it does not hold."""
        if not holds:
            raise Failed(f"not so: {what}", f"The servers' logs: {self.folder}")
        self.tell(f"  [ok] {what}")

    def until(self, what: str, look: Callable[[], bool], timeout: float = 40.0) -> float:
        """Look again and again; how many seconds it took. Raises Failed at the time-out."""
        began = time.monotonic()
        while not look():
            if time.monotonic() - began > timeout:
                raise Failed(f"not so after {timeout:g} s: {what}", f"The servers' logs: {self.folder}")
            time.sleep(0.2)
        waited = time.monotonic() - began
        self.tell(f"  [ok] {what} ({waited:.1f} s)")
        return waited

    def close(self, *, keep: bool) -> None:
        """Kill whatever still runs; remove the folder unless it is to be looked at."""
        for server in self.servers():
            if processes.state(server) != processes.STOPPED:
                processes.send(server, signal.SIGKILL)
                processes.wait_gone(server, 10.0)
        if not keep:
            import shutil

            shutil.rmtree(self.folder, ignore_errors=True)

    def servers(self) -> list[state.Server]:
        """What this stage started and knows of."""
        before = os.environ.get("XDG_STATE_HOME")
        os.environ["XDG_STATE_HOME"] = self.environment["XDG_STATE_HOME"]
        try:
            return state.servers()
        finally:
            if before is None:
                del os.environ["XDG_STATE_HOME"]
            else:
                os.environ["XDG_STATE_HOME"] = before
