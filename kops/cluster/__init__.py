"""What can be asked of, or done to, any Kafka: plain functions on a Session, dataclasses out, no printing."""
