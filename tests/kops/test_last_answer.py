"""What is asked again and again is decoded only when it is another answer, through kafka-python's own parser."""

from kafka.protocol.metadata import MetadataRequest, MetadataResponse
from kafka.protocol.parser import KafkaProtocol

from kops.session import LastAnswer

VERSION = 9


def answered(protocol: KafkaProtocol, last: LastAnswer, controller: int) -> MetadataResponse:
    """The parser's response to a request by way of ``last``."""
    request = MetadataRequest(topics=[], allow_auto_topic_creation=False)
    asked = last.to(request)
    asked.API_VERSION = VERSION
    correlation = protocol.send_request(asked)
    assert protocol.send_bytes()
    reply = MetadataResponse(brokers=[], cluster_id="c", controller_id=controller, topics=[])
    reply.API_VERSION = VERSION
    reply.with_header(correlation_id=correlation)
    ((got, response),) = protocol.receive_bytes(reply.encode(header=True, framed=True))
    assert got == correlation
    return response


def test_the_same_bytes_are_the_same_object() -> None:
    protocol, last = KafkaProtocol(client_id="test"), LastAnswer()
    first, again, other = (answered(protocol, last, controller) for controller in (1, 1, 2))
    assert (first.controller_id, other.controller_id) == (1, 2)
    assert again is first
    assert other is not first


def test_what_is_made_of_the_same_answer_is_made_once() -> None:
    last, one, other = LastAnswer(), object(), object()
    made = [last.made(answer, lambda _: object()) for answer in (one, one, other)]
    assert made[0] is made[1]
    assert made[2] is not made[1]
