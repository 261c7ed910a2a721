"""Makes docs/report.png and docs/report_figures.png from a report's folder.

    python benchmarks/readme_report.py REPORT [DOCS]

The first is the top of report.html as the system's Chromium shows it (through
Playwright), the second two of the report's figures side by side.
"""

import pathlib
import shutil
import sys

from PIL import Image
from playwright import sync_api

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WINDOW = {"width": 1280, "height": 1400}
MARGIN = 80  # px beside the page's text
HEIGHT = 1245  # px down to the end of the interactive part


def page(report: pathlib.Path, out: pathlib.Path) -> None:
    """The top of the page, in the light scheme."""
    browser = next(path for path in map(shutil.which, BROWSERS) if path)
    clip = {
        "x": MARGIN,
        "y": 0,
        "width": WINDOW["width"] - 2 * MARGIN,
        "height": HEIGHT,
    }
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox"]
        )
        view = opened.new_page(viewport=WINDOW, color_scheme="light")
        view.goto((report / "report.html").absolute().as_uri())
        view.wait_for_timeout(500)
        view.screenshot(path=out, clip=clip)
        opened.close()


def figures(report: pathlib.Path, out: pathlib.Path) -> None:
    """Sample size and calibration, side by side."""
    parts = [
        Image.open(report / "figures" / f"{name}.png").convert("RGB")
        for name in ("samples", "calibration")
    ]
    height = max(part.height for part in parts)
    joined = Image.new("RGB", (sum(part.width for part in parts), height), "white")
    left = 0
    for part in parts:
        joined.paste(part, (left, 0))
        left += part.width
    joined.save(out, optimize=True)


def main() -> None:
    """Draws both and says where."""
    report = pathlib.Path(sys.argv[1])
    docs = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "docs")
    for draw, name in ((page, "report.png"), (figures, "report_figures.png")):
        draw(report, docs / name)
        print(docs / name)


if __name__ == "__main__":
    main()
