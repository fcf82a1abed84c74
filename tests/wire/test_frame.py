"""Frames cut from a stream, whatever way its bytes arrive."""

from __future__ import annotations

from random import Random

import pytest

from broker.wire.frame import FrameBuffer, FrameRefused

LIMIT = 100 << 20


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def feed(buffer: FrameBuffer, data: bytes) -> int:
    """Write as much of ``data`` as one read takes."""
    room = buffer.writable()
    size = min(len(room), len(data))
    room[:size] = data[:size]
    buffer.arrived(size)
    return size


def taken(buffer: FrameBuffer) -> list[bytes]:
    found = []
    while (payload := buffer.take()) is not None:
        found.append(bytes(payload))
    return found


def test_frames_that_arrive_byte_by_byte_are_whole() -> None:
    payloads = [b"", b"a", b"hello", bytes(300)]
    buffer, found = FrameBuffer(LIMIT), []
    for byte in b"".join(map(frame, payloads)):
        assert feed(buffer, bytes([byte])) == 1
        found += taken(buffer)
    assert found == payloads


@pytest.mark.parametrize("seed", range(20))
def test_frames_of_any_size_in_chunks_of_any_size_are_whole(seed: int) -> None:
    random = Random(seed)
    payloads = [random.randbytes(random.choice((0, 3, 90, 5_000, 70_000, 400_000))) for _ in range(12)]
    stream = memoryview(b"".join(map(frame, payloads)))
    buffer, found = FrameBuffer(LIMIT), []
    while stream:
        stream = stream[feed(buffer, bytes(stream[: random.choice((1, 7, 1_000, 65_536, 300_000))])) :]
        found += taken(buffer)
    assert found == payloads


@pytest.mark.parametrize("seed", range(10))
def test_a_payload_that_is_kept_is_never_overwritten(seed: int) -> None:
    random = Random(seed)
    payloads = [random.randbytes(random.choice((3, 90, 5_000, 70_000))) for _ in range(40)]
    stream = memoryview(b"".join(map(frame, payloads)))
    buffer, kept = FrameBuffer(LIMIT), []
    while stream:
        stream = stream[feed(buffer, bytes(stream[:50_000])) :]
        while (payload := buffer.take()) is not None:
            kept.append(payload)
    assert [bytes(each) for each in kept] == payloads


def test_a_payload_is_writable_in_place() -> None:
    buffer = FrameBuffer(LIMIT)
    feed(buffer, frame(b"hello"))
    payload = buffer.take()
    assert payload is not None
    payload[0:1] = b"J"
    assert bytes(payload) == b"Jello"


@pytest.mark.parametrize("size", [-1, -(2**31), 101, 2**31 - 1])
def test_sizes_below_zero_or_above_the_limit_are_refused(size: int) -> None:
    buffer = FrameBuffer(100)
    feed(buffer, size.to_bytes(4, "big", signed=True))
    with pytest.raises(FrameRefused):
        buffer.take()


def test_a_large_announcement_costs_nothing_until_the_bytes_arrive() -> None:
    buffer = FrameBuffer(LIMIT)
    feed(buffer, LIMIT.to_bytes(4, "big"))
    arrived = 4
    while arrived < 1_000_000:
        assert buffer.take() is None
        arrived += feed(buffer, bytes(10_000))
        assert buffer.memory <= max(8192, 2 * arrived + 2048)


def test_a_buffer_is_used_again_when_nobody_looks_at_it_any_more() -> None:
    buffer = FrameBuffer(LIMIT)
    addresses = set()
    for _ in range(50):
        room = buffer.writable()
        addresses.add(id(room.obj))
        del room
        feed(buffer, frame(bytes(1000)))
        assert len(taken(buffer)) == 1
    assert len(addresses) == 1


def test_two_large_buffers_take_turns_while_each_frame_is_looked_at_until_the_next_arrives() -> None:
    buffer, addresses, held = FrameBuffer(LIMIT), set(), None
    for number in range(20):
        data = memoryview(frame(bytes([number]) * 300_000))
        while data:
            data = data[feed(buffer, bytes(data)) :]
        payload = buffer.take()
        assert payload is not None
        assert held is None or bytes(held[:2]) == bytes([number - 1]) * 2
        held = payload
        if number >= 4:
            addresses.add(id(payload.obj))
    assert len(addresses) == 2
    assert buffer.memory < 700_000
    buffer.shrink()
    assert buffer.memory == 4096


@pytest.mark.parametrize("size", [10, 5_000, 100_000])
def test_bytes_that_arrive_while_frames_wait_are_kept(size: int) -> None:
    payloads = [bytes([number]) * size for number in range(8)]
    stream = memoryview(b"".join(map(frame, payloads)))
    buffer = FrameBuffer(LIMIT)
    while stream:
        taken_in = feed(buffer, bytes(stream[:30_000]))
        assert taken_in
        stream = stream[taken_in:]
    assert taken(buffer) == payloads


def test_a_quiet_connection_gives_its_memory_back() -> None:
    buffer = FrameBuffer(LIMIT)
    data = memoryview(frame(bytes(1_000_000)))
    while data:
        data = data[feed(buffer, bytes(data)) :]
    assert len(taken(buffer)) == 1
    assert buffer.memory > 1_000_000
    buffer.shrink()
    assert buffer.memory == 4096
    feed(buffer, b"\x00\x00\x00\x05he")
    buffer.shrink()
    feed(buffer, b"llo")
    assert taken(buffer) == [b"hello"]
