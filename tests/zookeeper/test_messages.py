"""The codec: bytes of the real protocol, round trips, and what happens to bytes that lie."""

from __future__ import annotations

import pytest

from broker.zookeeper.jute import JuteError, Reader
from broker.zookeeper.messages import (
    REPLIES,
    REQUESTS,
    Acl,
    AclReply,
    AuthRequest,
    Children2Reply,
    ChildrenReply,
    ConnectRequest,
    ConnectResponse,
    Create2Reply,
    CreateRequest,
    CreateTtlRequest,
    DataReply,
    Empty,
    ErrorResult,
    IntReply,
    MultiReply,
    MultiRequest,
    OpCode,
    PathMode,
    PathOnly,
    PathReply,
    PathVersion,
    PathWatch,
    ReconfigRequest,
    Record,
    ReplyHeader,
    RequestHeader,
    SaslMessage,
    SetAclRequest,
    SetDataRequest,
    SetWatchesRequest,
    Stat,
    StatReply,
    WatcherEvent,
    WhoAmIReply,
    decode_reply,
    decode_request,
    encode_event,
    encode_reply,
    encode_request,
)

OPEN = (Acl(31, "world", "anyone"),)
STAT = Stat(1, 2, 3, 4, 5, 6, 7, -(2**63), 9, 10, 11)

REQUEST_BODIES: list[tuple[int, Record]] = [
    (OpCode.CREATE, CreateRequest("/ä", None, OPEN, 3)),
    (OpCode.CREATE_TTL, CreateTtlRequest("/a", b"", OPEN, 5, 1000)),
    (OpCode.DELETE, PathVersion("/a", -1)),
    (OpCode.GET_DATA, PathWatch("/a", True)),
    (OpCode.SET_DATA, SetDataRequest("/a", b"x", 3)),
    (OpCode.GET_ACL, PathOnly("/a")),
    (OpCode.SET_ACL, SetAclRequest("/a", None, 0)),
    (OpCode.PING, Empty()),
    (OpCode.MULTI, MultiRequest(((1, CreateRequest("/a", b"", OPEN, 1)), (13, PathVersion("/b", 2))))),
    (OpCode.MULTI, MultiRequest(())),
    (OpCode.MULTI_READ, MultiRequest(((4, PathWatch("/a", False)), (8, PathWatch("/b", False))))),
    (OpCode.RECONFIG, ReconfigRequest(None, "2", None, -1)),
    (OpCode.ADD_WATCH, PathMode("/a", 1)),
    (OpCode.AUTH, AuthRequest(0, "digest", b"joe:secret")),
    (OpCode.SET_WATCHES, SetWatchesRequest(7, ("/a",), (), ("/b", "/c"))),
    (OpCode.SET_WATCHES2, SetWatchesRequest(7, ("/a",), (), (), ("/p",), ("/r",))),
    (OpCode.SASL, SaslMessage(b"")),
]

REPLY_BODIES: list[tuple[int, Record]] = [
    (OpCode.CREATE, PathReply("/a0000000001")),
    (OpCode.CREATE2, Create2Reply("/a", STAT)),
    (OpCode.EXISTS, StatReply(STAT)),
    (OpCode.GET_DATA, DataReply(None, STAT)),
    (OpCode.GET_ACL, AclReply(OPEN, STAT)),
    (OpCode.GET_CHILDREN, ChildrenReply(("a", "b"))),
    (OpCode.GET_CHILDREN2, Children2Reply((), STAT)),
    (OpCode.ADD_WATCH, IntReply(0)),
    (OpCode.WHO_AM_I, WhoAmIReply((("ip", "127.0.0.1"),))),
    (OpCode.MULTI, MultiReply(((1, PathReply("/a")), (5, StatReply(STAT)), (2, Empty()), (13, Empty())))),
    (OpCode.MULTI, MultiReply(((-1, ErrorResult(0)), (-1, ErrorResult(-101)), (-1, ErrorResult(-2))))),
]


@pytest.mark.parametrize(("opcode", "body"), REQUEST_BODIES)
def test_a_request_survives_the_wire(opcode: int, body: Record) -> None:
    frame = encode_request(77, opcode, body)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    reader = Reader(frame, 4)
    assert RequestHeader.decode(reader) == (77, opcode)
    assert decode_request(opcode, reader) == body
    assert reader.pos == len(frame)


@pytest.mark.parametrize(("opcode", "body"), REPLY_BODIES)
def test_a_reply_survives_the_wire(opcode: int, body: Record) -> None:
    frame = encode_reply(77, 2**40, 0, body.encode())
    reader = Reader(frame, 4)
    assert ReplyHeader.decode(reader) == (77, 2**40, 0)
    assert decode_reply(opcode, reader) == body
    assert reader.pos == len(frame)


def test_bytes_are_those_of_zookeeper() -> None:
    assert encode_request(1, OpCode.GET_DATA, PathWatch("/a", True)).hex() == "0000000f0000000100000004000000022f6101"
    assert encode_event(WatcherEvent(3, 3, "/a")).hex() == (
        "0000001effffffffffffffffffffffff000000000000000300000003000000022f61"
    )
    assert len(STAT.encode()) == 68


@pytest.mark.parametrize("read_only", [None, False, True])
def test_the_handshake_works_with_and_without_the_read_only_flag(read_only: bool | None) -> None:
    request = ConnectRequest(0, 5, 10_000, -3, bytes(16), read_only)
    assert ConnectRequest.decode(Reader(request.encode())) == request
    response = ConnectResponse(0, 10_000, 3, bytes(16), read_only)
    assert ConnectResponse.decode(Reader(response.encode())) == response
    assert len(response.encode()) == (36 if read_only is None else 37)


@pytest.mark.parametrize(("opcode", "body"), [pair for pair in REQUEST_BODIES if pair[0] not in (11, 14, 22)])
def test_every_truncated_request_raises_only_jute_errors(opcode: int, body: Record) -> None:
    raw = body.encode()
    for size in range(len(raw)):
        with pytest.raises(JuteError):
            decode_request(opcode, Reader(raw[:size]))


def test_a_vector_cannot_announce_more_than_there_is() -> None:
    with pytest.raises(JuteError):
        Reader(b"\x7f\xff\xff\xff").vector(lambda: None)


def test_reads_and_writes_do_not_mix_in_a_multi() -> None:
    mixed = MultiRequest(((4, PathWatch("/a", False)), (2, PathVersion("/a", -1))))
    with pytest.raises(JuteError):
        MultiRequest.decode(Reader(mixed.encode()))


def test_every_operation_has_a_reply() -> None:
    assert set(REQUESTS) <= set(REPLIES)
