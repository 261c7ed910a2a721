"""The page: what is text stays text, what is ours stands once, nothing else runs."""

import base64
import hashlib
import re

from jaxflow.reporting import page

ODD = "<em>&\"'"


def policy(text):
    return re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)


def test_all_text_is_escaped():
    tile = page.Tile(ODD, ODD, ODD)
    section = page.Section(ODD, ODD, [page.Drawing("<svg></svg>", ODD)])
    text = page.render(ODD, ODD, [tile], [section, section], ODD)
    assert "<em>" not in text
    assert text.count("&lt;em&gt;&amp;&quot;&#x27;") == 15


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
