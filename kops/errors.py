"""What can go wrong for a person at the command line: an exit code, a line of what failed, a line of what to do.

Exceptions of the client libraries are recognised without importing those libraries: an exception of a library that was
never loaded cannot have been raised.
"""

import re
import sys
from collections.abc import Iterable
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The exit codes of every command (documented in ``docs/cli.md``, tested one by one)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    NOT_AUTHORISED = 6
    UNHEALTHY = 10
    INTERRUPTED = 130


class KopsError(Exception):
    """A failure that is told in two lines: ``what`` failed and why, and what to ``do`` about it."""

    exit = Exit.FAILED

    def __init__(self, what: str, do: str = "", *, subject: str = "", code: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.do = do
        self.subject = subject
        self.code = code or type(self).__name__

    def as_dict(self) -> dict[str, Any]:
        """For the ``errors`` of a JSON document."""
        return {
            "code": self.code,
            "exit": int(self.exit),
            "message": self.what,
            **({"subject": self.subject} if self.subject else {}),
            **({"advice": self.do} if self.do else {}),
        }


class Failed(KopsError):
    """The thing was tried and did not work."""


class BadUsage(KopsError):
    exit = Exit.USAGE


class NotFound(KopsError):
    exit = Exit.NOT_FOUND


class Refused(KopsError):
    """Not done because it was not confirmed, is protected, or would be wrong now."""

    exit = Exit.REFUSED


class Unreachable(KopsError):
    exit = Exit.UNREACHABLE


class NotAuthorised(KopsError):
    exit = Exit.NOT_AUTHORISED


class Unhealthy(KopsError):
    exit = Exit.UNHEALTHY


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, or None when none is near."""
    from difflib import get_close_matches

    matches = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return matches[0] if matches else None


def not_found(kind: str, name: str, names: Iterable[str], do: str = "") -> NotFound:
    """``NotFound`` that proposes the nearest name, or says what else to do."""
    near = nearest(name, names)
    return NotFound(f"{kind} '{name}' does not exist", f"Did you mean '{near}'?" if near else do, subject=name)


_ADVICE: dict[str, tuple[type[KopsError], str]] = {
    "UnknownTopicOrPartitionError": (NotFound, "`kops topic list` shows the topics there are."),
    "TopicAlreadyExistsError": (Failed, "Choose another name, or delete it first: `kops topic delete NAME`."),
    "TopicDeletionDisabledError": (Refused, "Set delete.topic.enable=true on every broker and restart them."),
    "InvalidReplicationFactorError": (Failed, "Start more brokers, or ask for fewer replicas."),
    "NotEnoughReplicasError": (Failed, "Too few replicas are in sync: `kops partition list` shows which."),
    "NotEnoughReplicasAfterAppendError": (Failed, "Too few replicas are in sync: `kops partition list` shows which."),
    "MessageSizeTooLargeError": (Failed, "Raise max.message.bytes of the topic, or send smaller records."),
    "RequestTimedOutError": (Unreachable, "The broker did not finish in time: `kops broker list` shows who is there."),
    "KafkaTimeoutError": (Unreachable, "Are the brokers up? `kops broker list`, or a longer --timeout."),
    "KafkaConnectionError": (Unreachable, "Are the brokers up? `kops status` shows clusters on this machine."),
    "NodeNotReadyError": (Unreachable, "No controller is elected yet: try again in a moment."),
    "NoNodeError": (NotFound, "`kops zookeeper ls PARENT` shows what there is."),
    "NodeExistsError": (Failed, "Use `kops zookeeper set` to change it."),
    "NotEmptyError": (Refused, "It has children: add --recursive."),
    "BadVersionError": (Failed, "Somebody changed it meanwhile: read it again."),
    "NoAuthError": (NotAuthorised, "Give credentials with --auth user:password."),
    "KazooTimeoutError": (Unreachable, "Is ZooKeeper up? `kops zookeeper status HOST:PORT` asks it."),
    "SessionExpiredError": (Unreachable, "ZooKeeper dropped the session: try again."),
    "ConnectionLoss": (Unreachable, "The connection to ZooKeeper broke: try again."),
}


def translate(error: BaseException) -> KopsError | None:
    """What a library raised, as a KopsError; None for what no rule knows (a bug, shown with its traceback on -v)."""
    if isinstance(error, KopsError):
        return error
    name = type(error).__name__
    message = _message_of(error)
    for ancestor in type(error).__mro__:
        if ancestor.__name__ in _ADVICE:
            kind, advice = _ADVICE[ancestor.__name__]
            return kind(message, advice, code=name)
    if _is(error, "kafka.errors", "AuthorizationError") or name in ("SaslAuthenticationFailedError", "AuthFailedError"):
        return NotAuthorised(message, "Ask for the right, or use another context.", code=name)
    if _is(error, "kafka.errors", "KafkaError") or _is(error, "aiokafka.errors", "KafkaError"):
        return Failed(message, code=name)
    if _is(error, "kazoo.exceptions", "KazooException"):
        return Failed(message, code=name)
    if isinstance(error, ConnectionError | TimeoutError):
        return Unreachable(message, "Are all servers up? `kops status` shows clusters on this machine.", code=name)
    if isinstance(error, OSError):
        return Failed(message, code=name)
    return None


def _is(error: BaseException, module: str, name: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(error, getattr(loaded, name, ()))


def _message_of(error: BaseException) -> str:
    """One line: kafka-python writes ``[Error 36] TopicAlreadyExistsError: ...``; only the last part is for people."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split())
    name = type(error).__name__
    if re.fullmatch(rf"(\[Error -?\d+\] )?{name}", text):  # kafka-python has nothing more to say: the name, in words
        return re.sub(r"(?<!^)(?=[A-Z])", " ", name.removesuffix("Error")).lower()
    for lead in (f"{name}: ", name):
        _, found, rest = text.partition(lead)
        if found and rest:
            return rest
    return text or name
