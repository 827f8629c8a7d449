"""HTML and SVG elements as text, in which whatever is not markup itself is escaped."""

import html
import re
from collections.abc import Iterable

Content = str | None | Iterable["Content"]
# Elements of HTML that have no end tag, and those of SVG that stand without content.
VOID = {"meta", "input", "path", "line", "rect", "polyline"}


class Markup(str):
    """Text that is markup already, and stays as it is."""

    __slots__ = ()


def element(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """An element.

    Args:
        name: its tag.
        content: text, which is escaped unless it is ``Markup``, or collections of text; None is nothing.
        attributes: ``class_`` is class, ``aria_label`` is aria-label; with True the name stands alone; those that are
            None or False are left out.
    """
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None and value is not False:
            text = number(value) if isinstance(value, float) else html.escape(str(value))
            words.append(f'{key}="{text}"')
    if name in VOID:
        return Markup(f"<{' '.join(words)}/>")
    return Markup(f"<{' '.join(words)}>{joined(content)}</{name}>")


def joined(content: Content) -> Markup:
    """Content as one piece of markup."""
    if content is None:
        return Markup()
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(html.escape(content, quote=False))
    return Markup("".join(map(joined, content)))


def breakable(text: str) -> Markup:
    """Text that may be broken into lines behind + and _."""
    return Markup(re.sub(r"([+_])(?=.)", r"\1<wbr/>", joined(text)))


def number(value: float) -> str:
    """A length or place in a drawing, to a tenth."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
