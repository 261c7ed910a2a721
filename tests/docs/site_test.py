"""The site: every name has its place, links lead somewhere, nothing is fetched."""

import json
import os
import posixpath
import re
import subprocess
import sys
import types

import pytest

import jaxflow
from tests.documents_test import DOCUMENTS
from tests.helpers import browser, documents
from tests.helpers.documents import name_of
from tests.helpers.training import REPOSITORY

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s#]*)(?:#([^)\s]*))?\)")
NOTEBOOKS = sorted((REPOSITORY / "docs/tutorials").glob("*.ipynb"))
HEADING = re.compile(r"^#+ (.*)$", re.M)
UNSEEN = """Array.from(document.querySelectorAll("article img")).filter(
    picture => !picture.alt || !picture.naturalWidth).map(picture => picture.src)"""
MOST_BYTES = 1_000_000  # of a page and what it loads, pictures not counted


def slug(heading):
    """A heading's anchor, as Python-Markdown makes it."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    words = re.sub(r"[^\w\s-]", "", plain.encode("ascii", "ignore").decode()).strip()
    return re.sub(r"[-\s]+", "-", words.lower())


def anchors(source):
    text = documents.FENCE.sub("", (REPOSITORY / source).read_text())
    return {slug(heading) for heading in HEADING.findall(text)}


def prose(path):
    """What a page or a notebook says, without its code."""
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text())["cells"]
        told = [c["source"] for c in cells if c["cell_type"] == "markdown"]
        return "\n".join("".join(lines) for lines in told)
    return documents.FENCE.sub("", path.read_text())


@pytest.mark.parametrize("path", [*DOCUMENTS, *NOTEBOOKS], ids=name_of)
def test_links_and_anchors_lead_somewhere(path):
    """To files, so that the pages can be read where they lie."""
    here = name_of(path)
    for target, anchor in LINK.findall(prose(path)):
        if "://" in target:
            continue
        place = posixpath.join(posixpath.dirname(here), target)
        source = posixpath.normpath(place) if target else here
        assert (REPOSITORY / source).exists(), target
        assert not anchor or anchor in anchors(source), f"{target}#{anchor}"


@pytest.mark.parametrize(
    ("page", "written", "linked"),
    [
        ("index.md", "../jaxflow/commands", "reference/commands.md"),
        ("index.md", "tutorials/posterior.ipynb", "tutorials/posterior.md"),
        ("howto/data.md", "../../launch/README.md#a", "../scripts.md#a"),
        ("howto/predict.md", "../../jaxflow/detector/README.md", "../detector.md"),
    ],
)
def test_links_to_files_become_links_to_pages(page, written, linked):
    pytest.importorskip("mkdocs", reason="needs the extra 'docs'")
    every = types.SimpleNamespace(get_file_from_path=lambda path: path)
    there = types.SimpleNamespace(file=types.SimpleNamespace(src_uri=page))
    made = documents.hooks().on_page_markdown(f"[w]({written})", there, every)
    assert made == f"[w]({linked})"


def test_every_public_name_is_in_the_reference():
    text = (REPOSITORY / "docs/reference/python.md").read_text()
    names = [f"jaxflow.{name}" for name in jaxflow.__all__ if name[0] != "_"]
    for room in ("flow", "gaussians", "metrics"):
        own = getattr(jaxflow, room)
        names += [
            f"jaxflow.{room}.{name}"
            for name in own.__all__
            if callable(getattr(own, name))
        ]
    told = set(re.findall(r"^::: (\S+)$|heading: (\S+)$", text, re.M))
    told = {name for pair in told for name in pair}
    # jaxflow.init and log_prob are the flow's own, by a shorter name.
    missing = {
        n for n in names if n not in told and n.replace("flow.", "", 1) not in told
    }
    assert missing <= {"jaxflow.Params", "jaxflow.flow.init", "jaxflow.flow.log_prob"}


def test_the_table_of_joints_is_the_skeleton_s():
    text = (REPOSITORY / "docs/reference/python.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (\w*) ?\|$", text, re.M)
    numbers, h36m, mpii = zip(*rows, strict=True)
    assert numbers == tuple(map(str, range(17)))
    assert h36m == jaxflow.skeleton.H36M_JOINTS
    assert mpii == (*jaxflow.skeleton.MPII_JOINTS, "")


def test_every_flag_is_in_the_made_page():
    pytest.importorskip("mkdocs", reason="needs the extra 'docs'")
    from tests.commands.flags_test import PATHS

    text = documents.hooks().commands_page()
    for module in PATHS:
        assert f"\n## {module.__name__.split('.')[-1]}\n" in text
        for name in module.flags.FLAGS:
            assert re.search(rf"--(\[no\])?{name}[=`]", text), name


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="needs the extra 'docs'")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={folder}"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_MKDOCS_2_WARNING": "1"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_pages_are_small_and_load_nothing_from_elsewhere(site):
    loaded = [*site.glob("assets/*.js"), *site.glob("assets/javascripts/*.js")]
    loaded += [*site.glob("assets/javascripts/workers/*.js"), *site.rglob("*.css")]
    loaded.append(site / "search/search_index.js")
    shared = sum(path.stat().st_size for path in loaded)
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        assert page.stat().st_size + shared < MOST_BYTES, page
        assert not re.search(r"""(?:src|@import|<link[^>]*href)=?\W*https?://""", text)
        assert "arithmatex" not in text, page
    assert "<math" in (site / "idea/method.html").read_text()
    told = (site / "reference/python.html").read_text()
    assert "<code>...)" not in told  # of a tuple's words, taken for a type


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_and_search_answers_from_the_disk(site, scheme, width):
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with browser.chromium() as chromium:
        opened = browser.Opened(chromium, site / "index.html", **options)
        page = opened.page
        pages = {*site.rglob("*.html")} - {site / "404.html"}  # for servers alone
        for each in [*sorted(pages), site / "index.html"]:
            page.goto(each.as_uri())
            assert opened.overflow() <= 0, each
            assert not page.evaluate(UNSEEN), each
        assert not opened.problems
        page.evaluate("document.querySelector('label[for=__search]').click()")
        page.locator("input.md-search__input").focus()
        page.keyboard.type("temperature")
        page.wait_for_selector(".md-search-result__item", timeout=20_000)
        assert all(address.startswith("file:") for address in opened.requests)
