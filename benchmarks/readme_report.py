"""Makes docs/report.png and docs/report_figures.png from a report's folder.

    python benchmarks/readme_report.py REPORT [DOCS] [DATA]

DATA says what the numbers rest on, and goes into the page's head: unless told otherwise
CMU motion and a simulated detector in Human3.6M's layout, which the benchmark of
`benchmarks/motion_capture.py` is of. The README says so beside the pictures.

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
DATA = "CMU motion with a simulated detector, under Human3.6M's names"
MARGIN = 80  # px beside the page's text
HEIGHT = 1245  # px down to the end of the interactive part


def page(report: pathlib.Path, out: pathlib.Path, data: str) -> None:
    """The top of the page, in the light scheme, with what the data are."""
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
        view.locator("main > .note").first.evaluate(
            "(line, data) => { line.append(data); }", f". Data: {data}." if data else ""
        )
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
    """Draws both."""
    report = pathlib.Path(sys.argv[1])
    docs = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "docs")
    page(report, docs / "report.png", sys.argv[3] if len(sys.argv) > 3 else DATA)
    figures(report, docs / "report_figures.png")


if __name__ == "__main__":
    main()
