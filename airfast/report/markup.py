"""HTML from values: everything that is not made here is escaped."""

import base64
import io
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from matplotlib import rc_context
from matplotlib.figure import Figure

from airfast.plots.canvas import COLOURS, INK, PALE, STYLE


class Html(str):
    """Text that is markup already; a plain string never is."""

    __slots__ = ()


# Of a picture on a light and on a dark page; what is not here is bright enough for both.
SCHEME = {
    "ink": (INK, "#e9e7e2"),
    "pale": (PALE, "#55555c"),
    "blue": (COLOURS[0], "#4aa6e0"),
    "purple": (COLOURS[5], "#d877ad"),
}
VOID = ("img", "input", "meta")


def style() -> str:
    """What pages look like."""
    return (files("airfast.report") / "page.css").read_text(encoding="utf-8")


def document_head(title: str, more: str = "") -> "Html":
    """Title, width and style; the icon is empty, or a browser would ask a server for one."""
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        Html('<link rel="icon" href="data:,">'),
        element("style", Html(style() + more)),
    )


def element(tag: str, *content: object, **attributes: str) -> Html:
    """An element; content that is not :class:`Html` is escaped, and so are the attributes (``class_`` for class)."""
    inside = "".join(each if isinstance(each, Html) else escape(str(each)) for each in content)
    words = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{tag}{words}>" if tag in VOID else f"<{tag}{words}>{inside}</{tag}>")


def section(key: str, title: str, *content: object) -> Html:
    """A part of the page with its heading."""
    return element("section", element("h2", title, id=key), *content, **{"aria-labelledby": key})


def paragraph(*content: object) -> Html:
    """A paragraph."""
    return element("p", *content)


def missing(*content: object) -> Html:
    """A sentence on what a run lacks and how to get it."""
    return element("p", *content, class_="missing")


def code(text: object) -> Html:
    """Something to type."""
    return element("code", text)


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[object]], words: int = 1) -> Html:
    """A table that scrolls by itself where the screen is narrow; the first ``words`` columns are text."""

    def cells(row: Sequence[object]) -> list[Html]:
        first = [element("th", row[0], scope="row")]
        texts = [element("td", each) for each in row[1:words]]
        return first + texts + [element("td", each, class_="number") for each in row[words:]]

    titles = [
        element("th", each, scope="col", **({"class_": "number"} if i >= words else {})) for i, each in enumerate(head)
    ]
    whole = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *titles)),
        element("tbody", *(element("tr", *cells(row)) for row in rows)),
        class_="figures" if words < len(head) else "words",
    )
    return element("div", whole, class_="scroll", tabindex="0", role="region", **{"aria-label": caption})


def picture(figure: Figure, alt: str, caption: str) -> Html:
    """A figure as an image in the page, with its description for those who do not see it."""
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg(figure)).decode()}"
    image = element("img", src=source, alt=alt, width=str(round(96 * figure.get_figwidth())))
    frame = element("div", image, class_="scroll", tabindex="0", role="region", **{"aria-label": caption})
    return element("figure", frame, element("figcaption", caption))


def svg(figure: Figure) -> bytes:
    """A figure as SVG on no background, whose ink follows the reader's light or dark scheme."""
    file = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue().decode()
    for name, (light, _) in SCHEME.items():
        text = text.replace(light, f"var(--{name})")
    light, dark = (";".join(f"--{name}:{pair[side]}" for name, pair in SCHEME.items()) for side in (0, 1))
    scheme = f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    start = text.index("<svg")
    after = text.index(">", start) + 1
    return f"{text[start:after]}<style>{scheme}</style>{text[after:]}".encode()
