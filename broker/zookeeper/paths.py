"""Which paths are valid, and what a path's parent is (org.apache.zookeeper.common.PathUtils)."""

from __future__ import annotations

import re

# A character that no path may hold: U+0000-001F, 007F-009F, D800-F8FF, FFF0-FFFF and everything above the BMP.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U00010000-\U0010ffff]")
_BAD_ELEMENT = re.compile(r"//|/\.\.?(?:/|$)")

QUOTA = "/zookeeper/quota"
CONFIG = "/zookeeper/config"
SPECIAL = ("/", "/zookeeper", QUOTA, CONFIG)
"""Nodes that can never be deleted."""


def is_valid(path: str) -> bool:
    """Starts with "/", no trailing "/", no empty, "." or ".." element, no forbidden character."""
    if path == "/":
        return True
    if not path.startswith("/") or path.endswith("/"):
        return False
    return not _BAD_ELEMENT.search(path) and not _FORBIDDEN.search(path)


def parent_of(path: str) -> str:
    """The parent of an absolute path other than "/"; it may be a path that is not valid."""
    return path[: path.rindex("/")] or "/"


def name_of(path: str) -> str:
    return path[path.rindex("/") + 1 :]
