"""The session machine as plays: what the shell or the server says, and what the session answers."""

from __future__ import annotations

import pytest

from broker.zk.operations import Create, Exists, GetChildren, GetData, Operation, Result, SetData, ZkCode
from broker.zk.session import (
    Attached,
    Complete,
    Detached,
    Dial,
    Drop,
    Effect,
    Expired,
    IllegalEvent,
    Notify,
    Send,
    Session,
    WatchEvent,
)
from broker.zookeeper.jute import Reader
from broker.zookeeper.messages import (
    ConnectRequest,
    ConnectResponse,
    DataReply,
    OpCode,
    PathReply,
    ReplyHeader,
    RequestHeader,
    SetWatchesRequest,
    Stat,
    StatReply,
    WatcherEvent,
    decode_request,
    encode_event,
    encode_reply,
)

STAT = Stat(1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 1)


class Stage:
    """Plays a session against a scripted server; every line of the answer is text."""

    def __init__(self, **settings: object) -> None:
        self.session = Session(timeout_ms=9000, **settings)  # type: ignore[arg-type]
        self.now = 100.0
        self.greeting = True

    def tell(self, effects: list[Effect]) -> list[str]:
        lines: list[str] = []
        for effect in effects:
            match effect:
                case Send(data):
                    lines += self.frames(data)
                case Dial(pause):
                    self.greeting = True
                    lines.append(f"dial after {pause:g} s")
                case Drop():
                    lines.append("drop")
                case Complete(token, Result(code, path, data=data)):
                    lines.append(f"complete {token}: {code.name} {path} {(data or b'').decode()}".strip())
                case Notify(Attached(session_id, _, timeout, fresh)):
                    lines.append(f"attached {session_id} {timeout} ms {'fresh' if fresh else 'again'}")
                case Notify(Detached(why)):
                    lines.append(f"detached: {why}")
                case Notify(Expired(session_id)):
                    lines.append(f"expired {session_id}")
                case Notify(WatchEvent(kind, path)):
                    lines.append(f"event {kind.name} {path}")
        return lines

    def frames(self, data: bytes) -> list[str]:
        lines = []
        while data:
            size = int.from_bytes(data[:4], "big")
            payload, data = data[4 : 4 + size], data[4 + size :]
            lines.append(self.frame(payload))
        return lines

    def frame(self, payload: bytes) -> str:
        reader = Reader(payload)
        if self.greeting:
            self.greeting = False
            hello = ConnectRequest.decode(reader)
            return f"connect session={hello.session_id} zxid={hello.last_zxid_seen} timeout={hello.timeout_ms}"
        header = RequestHeader.decode(reader)
        if header.opcode == OpCode.CLOSE_SESSION:
            return f"send {header.xid} close"
        body = decode_request(header.opcode, reader)
        if isinstance(body, SetWatchesRequest):
            return f"set-watches zxid={body.relative_zxid} {body.data} {body.exist} {body.child}"
        return f"send {header.xid} {OpCode(header.opcode).name.lower()} {getattr(body, 'path', '')}".strip()

    def start(self) -> list[str]:
        return self.tell(self.session.start(self.now))

    def connect(self) -> list[str]:
        return self.tell(self.session.connected_to_host(self.now))

    def grant(self, session_id: int = 7, timeout: int = 9000) -> list[str]:
        return self.hear(ConnectResponse(0, timeout, session_id, b"p" * 16).encode())

    def hear(self, payload: bytes) -> list[str]:
        return self.tell(self.session.received(payload, self.now))

    def reply(self, xid: int, zxid: int, body: object = None, err: int = 0) -> list[str]:
        encoded = b"" if body is None else body.encode()  # type: ignore[attr-defined]
        return self.hear(encode_reply(xid, zxid, err, encoded)[4:])

    def event(self, kind: int, path: str) -> list[str]:
        return self.hear(encode_event(WatcherEvent(kind, 3, path))[4:])

    def ask(self, **calls: Operation) -> list[str]:
        return self.tell(self.session.submit(list(calls.items()), self.now))

    def tick(self, seconds: float) -> list[str]:
        self.now += seconds
        return self.tell(self.session.tick(self.now))

    def lose(self) -> list[str]:
        return self.tell(self.session.disconnected(self.now))

    def connected(self) -> Stage:
        self.start()
        self.connect()
        self.grant()
        return self


def test_a_session_is_asked_for_granted_and_used() -> None:
    stage = Stage()
    assert stage.start() == ["dial after 0 s"]
    assert stage.ask(early=Exists("/a")) == []
    assert stage.connect() == ["connect session=0 zxid=0 timeout=9000"]
    assert stage.grant() == ["attached 7 9000 ms fresh", "send 1 exists /a"]
    assert stage.reply(1, 50, StatReply(STAT)) == ["complete early: OK /a"]


def test_at_most_max_in_flight_requests_are_on_the_way() -> None:
    stage = Stage(max_in_flight=2).connected()
    assert stage.ask(a=Exists("/a"), b=Exists("/b"), c=Exists("/c")) == ["send 1 exists /a", "send 2 exists /b"]
    assert stage.reply(1, 1, err=ZkCode.NO_NODE) == ["complete a: NO_NODE /a", "send 3 exists /c"]


def test_what_a_lost_connection_left_unanswered_is_sent_first_on_the_next_one() -> None:
    stage = Stage(max_in_flight=2).connected()
    stage.ask(a=Create("/a"), b=Create("/b"), c=Create("/c"))
    assert stage.reply(1, 9, PathReply("/a")) == ["complete a: OK /a", "send 3 create /c"]
    assert stage.lose() == ["drop", "detached: the server closed the connection", "dial after 0 s"]
    assert stage.ask(d=Exists("/d")) == []
    assert stage.connect() == ["connect session=7 zxid=9 timeout=9000"]
    assert stage.grant() == ["attached 7 9000 ms again", "send 4 create /b", "send 5 create /c"]
    effects = stage.session.received(encode_reply(4, 10, ZkCode.NODE_EXISTS)[4:], stage.now)
    assert isinstance(effects[0], Complete) and effects[0].result.retried
    assert stage.tell(effects) == ["complete b: NODE_EXISTS /b", "send 6 exists /d"]


def test_failed_dials_are_repeated_with_growing_pauses_up_to_a_second() -> None:
    stage = Stage()
    stage.start()
    pauses = [stage.tell(stage.session.dial_failed(stage.now))[0] for _ in range(7)]
    assert pauses == [f"dial after {pause} s" for pause in ("0.05", "0.1", "0.2", "0.4", "0.8", "1", "1")]


def test_a_server_that_grants_sessions_and_refuses_the_watches_is_not_asked_in_a_hurry() -> None:
    stage = Stage().connected()
    stage.ask(a=GetData("/a", watch=True))
    stage.reply(1, 1, DataReply(b"", STAT))
    stage.lose()
    pauses = []
    for _ in range(4):
        stage.connect()
        stage.grant()
        pauses.append(stage.hear(encode_reply(-8, 1, ZkCode.MARSHALLING_ERROR)[4:])[-1])
    assert pauses == ["dial after 0.05 s", "dial after 0.1 s", "dial after 0.2 s", "dial after 0.4 s"]


def test_silence_is_met_with_pings_and_then_with_another_connection() -> None:
    stage = Stage().connected()
    assert stage.session.wake_at == 103.0
    assert stage.tick(2.9) == []
    assert stage.tick(0.1) == ["send -2 ping"]
    stage.hear(encode_reply(-2, 5, 0)[4:])
    assert stage.tick(3) == ["send -2 ping"]
    assert stage.tick(3) == ["drop", "detached: the server is silent for 6.0 s", "dial after 0 s"]


def test_a_host_that_accepts_and_says_nothing_is_given_up() -> None:
    stage = Stage(hosts=3)
    stage.start()
    stage.connect()
    assert stage.tick(2.9) == []
    assert stage.tick(0.1) == ["drop", "dial after 0.05 s"]


def test_watches_are_registered_again_before_anything_else_and_forgotten_when_they_fire() -> None:
    stage = Stage().connected()
    stage.ask(
        a=GetData("/a", watch=True),
        b=Exists("/b", watch=True),
        c=Exists("/c", watch=True),
        d=GetData("/d"),
        e=GetChildren("/e", watch=True),
    )
    stage.reply(1, 20, DataReply(b"", STAT))
    stage.reply(2, 20, err=ZkCode.NO_NODE)
    stage.reply(3, 20, StatReply(STAT))
    stage.reply(4, 21, DataReply(b"", STAT))
    stage.reply(5, 21, err=ZkCode.NO_NODE)
    assert stage.event(3, "/c") == ["event DATA_CHANGED /c"]
    stage.ask(f=Exists("/f"))
    stage.lose()
    stage.connect()
    assert stage.grant() == [
        "attached 7 9000 ms again",
        "set-watches zxid=21 ('/a',) ('/b',) ()",
        "send 7 exists /f",
    ]
    assert stage.hear(encode_reply(-8, 22, 0)[4:]) == []
    assert stage.event(2, "/a") == ["event DELETED /a"]
    assert stage.reply(7, 22, StatReply(STAT)) == ["complete f: OK /f"]


def test_an_expired_session_fails_what_is_pending_and_leaves_nothing_for_the_next_one() -> None:
    stage = Stage().connected()
    stage.ask(a=GetData("/a", watch=True))
    stage.reply(1, 30, DataReply(b"", STAT))
    stage.ask(b=SetData("/b", b""))
    stage.lose()
    stage.ask(c=Exists("/c"))
    stage.connect()
    assert stage.grant(0, 0) == [
        *("drop", "complete b: SESSION_EXPIRED", "complete c: SESSION_EXPIRED", "expired 7"),
    ]
    assert stage.session.wake_at is None
    assert stage.ask(d=Exists("/d")) == []
    assert stage.tell(stage.session.renew(stage.now)) == ["dial after 0 s"]
    assert stage.connect() == ["connect session=0 zxid=0 timeout=9000"]
    assert stage.grant(8) == ["attached 8 9000 ms fresh", "send 3 exists /d"]


def test_an_answer_out_of_order_costs_the_connection() -> None:
    stage = Stage().connected()
    stage.ask(a=Exists("/a"))
    assert stage.reply(5, 1) == ["drop", "detached: an answer out of order: xid 5", "dial after 0.05 s"]


def test_an_unreadable_answer_costs_the_connection() -> None:
    stage = Stage().connected()
    stage.ask(a=Exists("/a"))
    header = ReplyHeader(1, 1, 0).encode()
    assert stage.hear(header + b"\0") == ["drop", "detached: an unreadable frame: truncated record", "dial after 0 s"]


def test_an_abandoned_call_is_not_sent_and_its_late_answer_is_thrown_away() -> None:
    stage = Stage(max_in_flight=1).connected()
    stage.ask(a=Exists("/a"), b=Exists("/b"), c=Exists("/c"))
    assert stage.session.abandon(["a", "b"], stage.now) == []
    assert stage.reply(1, 1, StatReply(STAT)) == ["send 2 exists /c"]


def test_close_ends_the_session_and_what_was_not_sent() -> None:
    stage = Stage(max_in_flight=1).connected()
    stage.ask(a=Exists("/a"), b=Exists("/b"))
    assert stage.tell(stage.session.close(stage.now)) == ["complete b: SESSION_EXPIRED", "send 2 close"]
    assert stage.reply(1, 1, StatReply(STAT)) == ["complete a: OK /a"]
    assert stage.reply(2, 2) == ["drop"]
    assert stage.session.ended
    assert stage.ask(late=Exists("/a")) == ["complete late: SESSION_EXPIRED"]


def test_a_session_that_was_saved_is_attached_again() -> None:
    stage = Stage(session_id=7, password=b"p" * 16)
    stage.start()
    assert stage.connect() == ["connect session=7 zxid=0 timeout=9000"]
    assert stage.grant() == ["attached 7 9000 ms again"]


def test_an_illegal_event_raises_and_changes_nothing() -> None:
    stage = Stage().connected()
    with pytest.raises(IllegalEvent, match="session 0x7 is connected"):
        stage.session.start(stage.now)
    with pytest.raises(IllegalEvent):
        stage.session.renew(stage.now)
    with pytest.raises(IllegalEvent):
        stage.session.connected_to_host(stage.now)
    assert stage.ask(a=Exists("/a")) == ["send 1 exists /a"]


def test_thousands_of_watches_go_in_frames_that_a_server_accepts() -> None:
    stage = Stage(max_in_flight=4000).connected()
    for index in range(1, 3001):
        stage.ask(**{f"t{index}": GetData(f"/brokers/topics/{'t' * 100}{index}", watch=True)})
        stage.reply(index, 1, DataReply(b"", STAT))
    stage.lose()
    stage.connect()
    effects = stage.session.received(ConnectResponse(0, 9000, 7, b"p" * 16).encode(), stage.now)
    [send] = [effect for effect in effects if isinstance(effect, Send)]
    sizes = []
    data = send.data
    while data:
        size = int.from_bytes(data[:4], "big")
        sizes.append(size)
        data = data[4 + size :]
    assert len(sizes) > 1 and max(sizes) < 1_000_000
