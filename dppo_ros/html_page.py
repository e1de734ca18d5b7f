# Copyright 2026 The dppo_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Self-contained HTML pages: sections of text, tables, plots and pictures in one file.

Plots are inline SVG, pictures are embedded; the page opens anywhere and can be sent by mail.
Standard library only; figures are passed in.
"""

from __future__ import annotations

import base64
import html
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;background:#f4f5f7;margin:0}
main{max-width:980px;margin:0 auto;padding:32px 24px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:16px;margin:0 0 12px}
section{background:#fff;border:1px solid #e1e4ea;border-radius:8px;padding:14px 16px}
section{margin-top:16px;overflow-x:auto}
table{border-collapse:collapse;margin:8px 0;font-size:13px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid #eceef2}
th{color:#55606e;font-weight:600}td.number{text-align:right}
p.note,figcaption{color:#55606e;overflow-wrap:anywhere}figcaption{font-size:13px}
figure{margin:8px 0}img,svg{max-width:100%;height:auto}
"""


class Figure(Protocol):
    """The part of a matplotlib figure that is used here."""

    def savefig(self, fname: io.BytesIO, *, format: str, bbox_inches: str) -> None:
        """Write the figure to a stream."""
        ...


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, as HTML that is safe to embed."""

    title: str
    body: str


def paragraph(text: str, note: bool = False) -> str:
    """Returns a paragraph of plain text."""
    return f"<p{' class=note' if note else ''}>{html.escape(text)}</p>"


def link(target: str, text: str) -> str:
    """Returns a paragraph with one link."""
    return f'<p><a href="{html.escape(target, quote=True)}">{html.escape(text)}</a></p>'


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a table; cells that look like numbers are aligned right."""
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    text = str(value)
    number = re.match(r"[-+]?\d", text) is not None
    return f"<td{' class=number' if number else ''}>{html.escape(text)}</td>"


def plot(figure: Figure, caption: str = "") -> str:
    """Returns a figure as inline SVG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", bbox_inches="tight")
    drawing = stream.getvalue().decode("utf-8")
    return _captioned(drawing[drawing.index("<svg") :], caption)


def picture(png: bytes, caption: str) -> str:
    """Returns a PNG image, embedded."""
    data = base64.b64encode(png).decode("ascii")
    tag = f'<img alt="{html.escape(caption, quote=True)}" src="data:image/png;base64,{data}">'
    return _captioned(tag, caption)


def _captioned(content: str, caption: str) -> str:
    text = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{content}{text}</figure>"


def page(
    title: str, subtitle: str, sections: Sequence[Section], lead: str = "", style: str = ""
) -> str:
    """Returns a whole page.

    Args:
        title: Heading and window title.
        subtitle: One line under the heading.
        sections: Content, in order.
        lead: What stands before the first section, as HTML that is safe to embed.
        style: Rules besides the common ones.
    """
    body = "".join(f"<section><h2>{html.escape(s.title)}</h2>{s.body}</section>" for s in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}{style}</style></head><body><main>"
        f"<h1>{html.escape(title)}</h1>{paragraph(subtitle, note=True)}{lead}{body}"
        "</main></body></html>\n"
    )


def write_page(path: Path, title: str, subtitle: str, sections: Sequence[Section]) -> Path:
    """Writes a page in one step (never half) and returns its path; see ``page``."""
    return write_whole(path, page(title, subtitle, sections))


def write_whole(path: Path, text: str) -> Path:
    """Writes a file completely or not at all, creating its folder, and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    return path
