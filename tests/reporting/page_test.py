"""The page: what is text stays text, what is ours stands once, nothing else runs."""

import base64
import hashlib
import html
import re

from jaxflow.reporting import page
from jaxflow.reporting.tables import Number, Row, Table

ODD = "<em>&\"'"


def policy(text):
    return re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)


def test_all_text_is_escaped():
    tile = page.Tile(ODD, ODD, ODD)
    table = Table("odd", ODD, (ODD,), (Row((ODD,)),), note=ODD)
    section = page.Section(ODD, ODD, [page.Drawing("<svg></svg>", ODD)], [table])
    text = page.render(ODD, ODD, [tile], [section, section], ODD)
    assert "<em>" not in text
    shown = html.unescape(text)
    for element in (
        "<title>{}</title>",
        "<h1>{}</h1>",
        '<p class="note">{}</p>\n<nav',
        '<a href="#section-em">{}</a>',
        "<h2>{}</h2>",
        "<p>{}</p>",
        "<b>{0} <small>{0}</small></b><span>{0}</span>",
        "<figcaption>{}</figcaption>",
        'aria-label="{}"',
        "<h3>{}</h3>",
        "<th>{}</th>",
        "<td>{}</td>",
        '<p class="note">{}</p>\n</div>',
        '<p class="note">{}</p>\n</main>',
    ):
        assert element.format(ODD) in shown, element
    # Text that is like markup stands nowhere but where it has been escaped.
    assert shown.count(ODD) == text.count("&lt;em&gt;&amp;&#34;&#39;")


def test_the_best_is_bold_and_a_rule_stands_above_what_sums_up():
    rows = Row(("a", Number(2.0))), Row(("b", None)), Row(("c", Number(1.0)))
    table = Table("t", "T", ("Name", "mm"), rows, better=(0, -1))
    text = page.render("", "", [], [page.Section("A", "", tables=[table])])
    assert re.findall(r"<td>(.*?)</td>", text) == [
        *("a", "2.0", "b", "–", "c", "<b>1.0</b>")
    ]
    closing = tuple(row._replace(closing=i > 0) for i, row in enumerate(rows))
    plain = table._replace(rows=closing, better=())
    text = page.render("", "", [], [page.Section("A", "", tables=[plain])])
    kinds = [kind.split() for kind in re.findall(r'<tr class="([^"]*)">', text)]
    assert kinds == [[], ["rule", "closing"], ["closing"]]


def test_an_equation_stands_on_one_line():
    table = Table("t", "T", ("z = 0",), (Row(("Someone, 2017 (M = 1)",)),))
    tile = page.Tile("1", "", "of M = 200")
    text = page.render("", "", [tile], [page.Section("A", "", tables=[table])])
    for shown in (
        "<th>z\u00a0=\u00a00<",
        "(M\u00a0=\u00a01)</td>",
        "of M\u00a0=\u00a0200<",
    ):
        assert shown in text


def test_the_contents_lead_to_the_sections():
    sections = [page.Section(title, "") for title in ("A & B", "A - B", "\u4f53")]
    text = page.render("", "", [], sections)
    links = re.findall(r'<a href="#([^"]*)">([^<]*)</a>', text)
    assert [title for _, title in links] == ["A &amp; B", "A - B", "\u4f53"]
    ids = re.findall(r'<section id="([^"]*)"', text)
    assert [name for name, _ in links] == ids and len(set(ids)) == 3
    assert '<nav class="contents"' not in page.render("", "", [], sections[:1])


def test_a_page_without_scripts_allows_none():
    text = page.render("", "", [], [page.Section("A", "")])
    assert "default-src 'none'; script-src 'none';" in policy(text)
    assert "<script" not in text


def test_parts_stand_once_and_are_allowed_by_their_hash():
    part = page.Markup("<p>one</p>", "p { color: red; }", "const $a = '\u00e9';")
    sections = [page.Section(title, "", markup=part) for title in "AB"]
    text = page.render("", "", [], sections)
    assert text.count("<p>one</p>") == 2 and text.count("p { color: red; }") == 1
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script.strip() == part.script
    digest = hashlib.sha256(script.encode()).digest()
    allowed = f"script-src 'sha256-{base64.b64encode(digest).decode()}';"
    assert allowed in policy(text)
    assert "unsafe-inline" not in policy(text).split("script-src")[1].split(";")[0]
