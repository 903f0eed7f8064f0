"""Pages in HTML: no scripts, nothing loaded from elsewhere, pictures inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from arcterm.formats.images import encode_jpeg, resize
from arcterm.text import clean

_SIDE, _QUALITY = 112, 75
_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bar: #4a7fd0; --bad: #c0392b; --good: #2e8b57 }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse }
td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
.bar { display: inline-block; height: .8em; background: var(--bar); border-radius: 2px }
.bad { color: var(--bad) } .good { color: var(--good) } .hint { opacity: .6 }
ul { padding-left: 1.2rem } li { overflow-wrap: anywhere }
.row { display: flex; flex-wrap: wrap; gap: .6rem } .pairs { display: flex; flex-wrap: wrap; gap: 1.2rem }
.pairs > div { max-width: 15rem } figure { margin: 0; max-width: 15rem }
figcaption { font-size: .75rem; opacity: .8; overflow-wrap: anywhere }
figure img { width: 112px; height: 112px; object-fit: contain; background: var(--line) }
svg { max-width: 100%; height: auto }
details { border-top: 1px solid var(--line); padding: .4rem 0 } summary { cursor: pointer; font-weight: 600 }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page of `parts`, which are markup; empty ones are left out."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{text(title)}</title><style>{_STYLE}</style></head><body>"
    )
    return head + "\n".join(part for part in parts if part) + "</body></html>\n"


def text(value: str) -> str:
    """`value` as text of the page: what came from a file can neither be markup nor hide anything."""
    cleaned = html.escape(clean(value).encode("utf-8", "replace").decode("utf-8"))
    return cleaned.replace(" %", "\u00a0%")  # SVG by itself knows no &nbsp;


def table(
    rows: Iterable[Sequence[str]],
    heads: Sequence[str] = (),
    faint: Callable[[Sequence[str]], bool] = lambda row: False,
) -> str:
    """A table of texts; the first of each row is its name. Rows that are `faint` are greyed."""
    top = "".join(f"<th>{text(head)}</th>" for head in heads)
    body = []
    for row in rows:
        cells = "".join(f"<td>{text(cell)}</td>" for cell in row[1:])
        grey = ' class="hint"' if faint(row) else ""
        body.append(f"<tr{grey}><th>{text(row[0])}</th>{cells}</tr>")
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{''.join(body)}</table>"


def figure(pixels: NDArray[np.uint8] | None, caption: str) -> str:
    """A picture, uint8 RGB (H, W, 3), made small, with its caption; None says that it can't be shown."""
    if pixels is None:
        return f"<figure><figcaption>{text(caption)}: can't be shown</figcaption></figure>"
    scale = _SIDE / max(pixels.shape[:2])
    if scale < 1:
        pixels = resize(pixels, (max(1, int(pixels.shape[0] * scale)), max(1, int(pixels.shape[1] * scale))))
    data = base64.b64encode(encode_jpeg(pixels, _QUALITY)).decode("ascii")
    image = f'<img alt="" src="data:image/jpeg;base64,{data}">'
    return f"<figure>{image}<figcaption>{text(caption)}</figcaption></figure>"
