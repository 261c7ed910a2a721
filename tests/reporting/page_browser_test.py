"""The page in a real browser: long numbers, and tables wider than the page."""

import io

import pytest
from PIL import Image

from jaxflow.reporting import page
from jaxflow.reporting.tables import Row, Table
from tests.helpers.browser import Opened, chromium


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


OUTSIDE = """tiles => tiles.filter(tile =>
    tile.firstChild.scrollWidth > tile.firstChild.clientWidth).length"""


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_numbers_stay_in_their_cards(browser, tmp_path, width):
    tiles = [page.Tile(value, "mm", "error") for value in ("67.9", "1365.2", "98765.4")]
    path = tmp_path / "page.html"
    text = page.render("", "", [*tiles, *tiles, tiles[0]], [])
    path.write_text(text, encoding="utf-8")
    opened = Opened(browser, path, viewport={"width": width, "height": 844})
    opened.settle()
    assert opened.page.locator(".tile").evaluate_all(OUTSIDE) == 0
    sizes = opened.page.locator(".tile b").evaluate_all(
        "all => all.map(one => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) > 13 and max(sizes) > 20
    opened.context.close()


def test_a_table_that_goes_on_has_a_shadow_until_its_end(browser, tmp_path):
    columns = tuple(f"column {i}" for i in range(30))
    wide = Table("w", "W", columns, (Row(tuple("1" * 30)),))
    narrow = Table("n", "N", columns[:2], (Row(("1", "1")),))
    path = tmp_path / "page.html"
    text = page.render("", "", [], [page.Section("A", "", tables=[wide, narrow])])
    path.write_text(text, encoding="utf-8")
    opened = Opened(browser, path)

    def edge(index):
        """How bright the table's right edge is, between its lines of text."""
        opened.settle()
        table = opened.page.locator(".table").nth(index)
        picture = Image.open(io.BytesIO(table.screenshot())).convert("L")
        return picture.getpixel((picture.width - 4, picture.height // 8))

    assert edge(0) < 240 and edge(1) == 255
    opened.page.locator(".table").first.evaluate("one => one.scrollTo(1e6, 0)")
    assert edge(0) == 255
    opened.context.close()
