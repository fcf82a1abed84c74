"""Data to stdout in one of the formats, narration to stderr."""
