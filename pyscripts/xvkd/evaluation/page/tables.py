"""Tables as HTML, which the page's script makes sortable."""

from collections.abc import Mapping, Sequence

from xvkd.evaluation.page.markup import Markup, breakable, element, joined
from xvkd.evaluation.tables import Table


def html_table(
    table: Table, caption: str, marks: Sequence[Markup] = (), order: Sequence[int] | None = None,
    folded: Sequence[int] = (),
) -> list[Markup]:  # fmt: skip
    """A table in a box of its own, in which it scrolls beside its first column; and what it shows, above it.

    Args:
        table: the table.
        caption: what it shows.
        marks: what stands before the first cell of each row.
        order: of the columns, by number; None: as they are.
        folded: columns that stand in the first one where the page is narrow.
    """
    order = range(len(table.header)) if order is None else order
    kinds = {column: "words" if column < table.left else "numbers" for column in order}
    kinds |= {column: f"{kinds[column]} wide" for column in folded}
    head = [element("th", table.header[column], scope="col", class_=kinds[column]) for column in order]
    counts, rows = [], []
    for number, row in enumerate(table.rows):
        cells = [element("td", _cell(row[column]), class_=kinds[column]) for column in order[1:]]
        # A number needs its column's title.
        notes = [row[column] if column < table.left else f"{table.header[column]} {row[column]}" for column in folded]
        about = element("small", breakable(", ".join(notes)), class_="narrow") if folded and row[1] else None
        name = element("span", marks[number] if marks else None, element("span", breakable(row[order[0]]), about))
        cells.insert(0, element("th", name, scope="row", class_="words"))
        # A row of no system, such as that of the numbers of trials, belongs to the head and is not sorted.
        (rows if row[1] else counts).append(element("tr", cells))
    return _boxed(caption, element("thead", element("tr", head), counts), element("tbody", rows))


def pairs(rows: Mapping[str, str], caption: str) -> list[Markup]:
    """Names and values as a table."""
    cells = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in rows.items()]
    return _boxed(caption, element("tbody", cells), class_="pairs")


def _boxed(caption: str, *content: Markup, class_: str | None = None) -> list[Markup]:
    # Not a <caption>, which would be as wide as the table and scroll with it.
    table = element("table", content, class_=class_, aria_label=caption)
    return [element("p", caption, class_="caption"), element("div", table, class_="scroll", tabindex="0", role="region",
                                                             aria_label=caption)]  # fmt: skip


def _cell(text: str) -> list[Markup]:
    """A cell's text; an interval is set apart."""
    figure, bracket, interval = text.partition(" [")
    return [joined(figure), element("span", bracket + interval, class_="interval") if bracket else Markup()]
