"""Logs on disk in Kafka's own files (kafka.log.UnifiedLog, LogManager and what they own)."""
