"""Messages of Kafka's protocol that kafka-python does not have, by schemas beside this file (KIP-848)."""

from kafka.protocol.api_message import ApiMessage


class ConsumerGroupDescribeRequest(ApiMessage, load_json=__name__):  # type: ignore[misc, call-arg]
    """Asks for groups of the consumer protocol, which DescribeGroups takes for dead."""


class ConsumerGroupDescribeResponse(ApiMessage, load_json=__name__):  # type: ignore[misc, call-arg]
    """Their state and members, with assignments in plain fields."""
