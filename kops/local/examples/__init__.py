"""The commented example files that ``kops config init`` writes and ``kops up`` fills in."""

import re
from collections.abc import Mapping
from importlib.resources import files


def example(name: str, values: Mapping[str, str] | None = None) -> str:
    """The text of ``server.properties`` or ``zookeeper.properties``, with the given settings in place of its own.

    A setting that the example has, be it commented out, is replaced where it stands; others are added at the end.
    """
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    for key, value in (values or {}).items():
        line = f"{key}={value}"
        text, replaced = re.subn(rf"(?m)^#?{re.escape(key)}=.*$", line.replace("\\", r"\\"), text, count=1)
        if not replaced:
            text += f"{line}\n"
    return text
