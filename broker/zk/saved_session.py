"""Id and password of the ZooKeeper session, kept beside meta.properties (no class of Kafka's answers to it).

Apache's broker, killed and started again at once, finds its old ephemeral node and exits with NodeExists. Ours attaches
to its old session with what is kept here and closes it, so that the node goes without waiting for the time-out.
"""

from __future__ import annotations

import json
import logging

from broker.host import Files
from broker.host.files import write_atomically

log = logging.getLogger(__name__)

FILE_NAME = "zookeeper.session"


class SavedSession:
    """Nothing here may stop a broker: what cannot be read or written is logged, and the session's expiry awaited."""

    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        self._path = path

    def read(self) -> tuple[int, bytes] | None:
        """Session id and password, None if there are none to be had."""
        if self._files.stat(self._path) is None:
            return None
        try:
            content = json.loads(self._files.read(self._path))
            return int(content["session_id"], 16), bytes.fromhex(content["password"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read (%s): waiting for the expiry of that session instead", self._path, error)
            return None

    def write(self, session_id: int, password: bytes) -> None:
        """Readable by this user alone; with the password anyone could take the session over."""
        content = json.dumps({"version": 1, "session_id": hex(session_id), "password": password.hex()})
        try:
            write_atomically(self._files, self._path, content.encode(), mode=0o600)
        except OSError as error:
            log.warning("%s cannot be written (%s): a restart after a kill will wait for the expiry", self._path, error)

    def forget(self) -> None:
        """The session is over."""
        if self._files.stat(self._path) is not None:
            self._files.unlink(self._path)
