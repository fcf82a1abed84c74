"""kops: the command line of a Kafka broker, and of any other Kafka."""

__version__ = "0.1.0"
