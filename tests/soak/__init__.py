"""Soaks: long runs of real processes under faults. ``scripts/soak``; not part of the suite."""
