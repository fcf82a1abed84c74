"""Caches of Textual that keep more than they are meant to, and so would let a long-lived dashboard grow."""

from textual._styles_cache import StylesCache


def without_owners() -> None:
    """Two styles by their colours. Textual's key has the asking widget in it, although it takes that for a class.

    The last 1024 widgets that were ever drawn would be kept, with all their lines: 150 kB for each look at the help
    page (https://github.com/Textualize/textual/issues/6665).
    """
    cached = vars(StylesCache)["get_inner_outer"]
    if callable(cached):  # a class method is not
        StylesCache.get_inner_outer = classmethod(cached)  # type: ignore[method-assign, assignment]
