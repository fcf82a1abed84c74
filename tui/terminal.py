"""The terminal, and that the dashboard ends with it: Textual goes on when a terminal that is not its own is closed."""

import select
import signal
from contextlib import suppress
from queue import Empty
from threading import Thread

from textual.drivers.linux_driver import LinuxDriver


class Terminal(LinuxDriver):
    """What is written after it was closed is dropped, and the application ends as if it had been asked to."""

    closed = False

    def start_application_mode(self) -> None:
        super().start_application_mode()  # type: ignore[no-untyped-call]
        for number in signal.SIGHUP, signal.SIGTERM:
            self._loop.add_signal_handler(number, self._app.exit)
        Thread(target=self._until_closed, name="kops-tui-terminal", daemon=True).start()

    def write(self, data: str) -> None:
        if not self.closed:
            super().write(data)

    def _until_closed(self) -> None:
        hung_up = select.poll()
        hung_up.register(self.fileno, 0)
        hung_up.poll()
        self.closed = True
        with suppress(RuntimeError):  # it has ended: another context was gone to
            self._loop.call_soon_threadsafe(self._app.exit)
        # The event loop may be waiting for room among what nobody is going to write any more.
        with suppress(Empty):
            while self._writer_thread is not None:
                self._writer_thread._queue.get_nowait()
