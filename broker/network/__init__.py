"""Sockets, frames, order and back-pressure (kafka.network)."""
