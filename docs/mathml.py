"""Turns the formulas of a page ($…$ and $$…$$) into MathML while the site is built: reading it needs no script."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    """Returns the page's HTML with MathML instead of TeX."""
    content = _INLINE.sub(lambda match: convert(html.unescape(match[1])), content)
    return _BLOCK.sub(lambda match: _formula(match[1]), content)


def _formula(tex: str) -> str:
    """Returns a formula on lines of its own, which docs/style.css makes scroll where the screen is narrow."""
    return f'<div class="formula">{convert(html.unescape(tex).strip(), display="block")}</div>'
