"""Formulas as MathML, which browsers draw themselves: no script, nothing fetched."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL
)
# Spaces that a typesetter sets: before a function's name, about "distributed as", none
# after a sign that stands first.
SPACING = (
    (r"(</mi>|</mn>)<mi>(exp|arctan)</mi>", r'\1<mspace width="0.17em"/><mi>\2</mi>'),
    (r"<mi>&#x0007E;</mi>", '<mo lspace="0.28em" rspace="0.28em">&#x0223C;</mo>'),
    (r"(form=\"prefix\">[^<]*</mo>)<mo>&#x02212;</mo>", r'\1<mo form="prefix">−</mo>'),
)


def on_page_content(content: str, **_: Any) -> str:
    """Each formula of a page, as Arithmatex marks it, drawn."""
    return FORMULA.sub(_drawn, content)


def _drawn(formula: re.Match[str]) -> str:
    display = "block" if formula[2] == "[" else "inline"
    drawn = convert(html.unescape(formula[3]).strip(), display=display)
    for pattern, better in SPACING:
        drawn = re.sub(pattern, better, drawn)
    return drawn
