"""Documents as lists of blocks, and their two forms: Markdown, and an HTML page.

In every text `backticks` mark code, as in Markdown; everything else is taken as it is. That is why
the page is made from the blocks and not from the Markdown: a name of a data set or a path can then
be neither markup nor HTML, whatever it holds.
"""

import base64
import html
import re
from typing import Container, List, NamedTuple, Sequence, Union

CODE = re.compile(r"`([^`]*)`")

STYLE = """
body { font: 16px/1.5 sans-serif; color: #111; background: #fff; max-width: 84em;
       margin: 2em auto; padding: 0 1em; }
h1, h2, h3 { line-height: 1.25; margin: 1.6em 0 0.4em; }
h2 { border-top: 1px solid #bbb; padding-top: 0.8em; }
div.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85em; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25em 0.6em; border-bottom: 1px solid #ddd; text-align: left;
         vertical-align: top; }
thead th { border-bottom: 2px solid #111; }
.number { text-align: right; }
td.number { white-space: nowrap; }
code { font-size: 0.9em; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; }
figure { margin: 1em 0; }
@media (max-width: 84em) { td.number { white-space: normal; } }
@page { size: landscape; margin: 12mm; }
@media print {
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0; }
  h2, h3 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  div.table { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: 0.2em 0.4em; }
  td.number { white-space: normal; }
  img { max-height: 180mm; }
}
"""


class Heading(NamedTuple):
    """A heading; the page's own has level 1."""

    level: int
    text: str


class Paragraph(NamedTuple):
    """Running text."""

    text: str


class Bullets(NamedTuple):
    """A list."""

    items: Sequence[str]


class Table(NamedTuple):
    """A table."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Container[int]  # columns, from 0, that hold numbers


class Picture(NamedTuple):
    """A picture as the content of a PNG file, and what it shows in words."""

    png: bytes
    text: str


Block = Union[Heading, Paragraph, Bullets, Table, Picture]


def as_markdown(blocks: Sequence[Block]) -> str:
    """The document in Markdown; pictures are left out."""
    return "\n".join(_markdown(block) for block in blocks if not isinstance(block, Picture))


def _markdown(block: Block) -> str:
    """One block with its line ends."""
    if isinstance(block, Heading):
        return "#" * block.level + " " + _markdown_text(block.text) + "\n"
    if isinstance(block, Paragraph):
        return _markdown_text(block.text) + "\n"
    if isinstance(block, Bullets):
        return "".join(f"- {_markdown_text(item)}\n" for item in block.items)
    rule = ["---:" if i in block.numbers else "---" for i in range(len(block.header))]
    lines = [block.header, rule, *block.rows]
    return "".join(f"| {' | '.join(map(_markdown_cell, cells))} |\n" for cells in lines)


def _markdown_cell(text: str) -> str:
    return _markdown_text(text).replace("|", "\\|")


def _markdown_text(text: str) -> str:
    """Text without emphasis: a schedule's name may have the mark for it, as ``back*100``."""
    parts = CODE.split(_line(text))
    parts[0::2] = [part.replace("*", "\\*") for part in parts[0::2]]
    parts[1::2] = [f"`{part}`" for part in parts[1::2]]
    return "".join(parts)


def _line(text: str) -> str:
    """Text in one line; names of data sets and paths may hold anything, even bytes not UTF-8."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())


def as_html(blocks: Sequence[Block], title: str) -> str:
    """The document as a page in which everything is embedded; it can be printed."""
    body = "\n".join(_html(block) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{body}\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    """One block."""
    if isinstance(block, Heading):
        return f"<h{block.level}>{_html_text(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p>{_html_text(block.text)}</p>"
    if isinstance(block, Bullets):
        items = "\n".join(f"<li>{_html_text(item)}</li>" for item in block.items)
        return f"<ul>\n{items}\n</ul>"
    if isinstance(block, Picture):
        source = "data:image/png;base64," + base64.b64encode(block.png).decode("ascii")
        return f'<figure><img src="{source}" alt="{html.escape(block.text)}"></figure>'
    heads = [
        f'<th scope="col"{_html_class(i, block.numbers)}>{_html_text(name)}</th>'
        for i, name in enumerate(block.header)
    ]
    rows = "\n".join(f"<tr>{_html_cells(row, block.numbers)}</tr>" for row in block.rows)
    head = f"<thead>\n<tr>{''.join(heads)}</tr>\n</thead>"
    return f'<div class="table"><table>\n{head}\n<tbody>\n{rows}\n</tbody>\n</table></div>'


def _html_cells(row: Sequence[str], numbers: Container[int]) -> str:
    """The first cell names the row."""
    cells: List[str] = [f'<th scope="row">{_html_text(row[0])}</th>']
    for i, text in enumerate(row[1:], start=1):
        cells.append(f"<td{_html_class(i, numbers)}>{_html_text(text)}</td>")
    return "".join(cells)


def _html_class(column: int, numbers: Container[int]) -> str:
    """The attribute of a column's cells."""
    return ' class="number"' if column in numbers else ""


def _html_text(text: str) -> str:
    return CODE.sub(r"<code>\1</code>", html.escape(_line(text)))
