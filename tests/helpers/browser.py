"""A real browser for tests of pages: the system's Chromium through Playwright."""

import contextlib
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def chromium():
    """A headless Chromium; the test skips where it or Playwright is missing."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: extra 'test'"
    )
    found = [path for path in map(shutil.which, NAMES) if path]
    if not found:
        pytest.skip("no Chromium here: install the system's package 'chromium'")
    with sync_api.sync_playwright() as playwright:
        # Containers often run as root, where Chromium's sandbox refuses to start.
        options = {"executable_path": found[0], "args": ["--no-sandbox"]}
        try:
            browser = playwright.chromium.launch(**options)
        except sync_api.Error as error:
            pytest.skip(f"{found[0]} does not start here: {error.message[:300]}")
        yield browser
        browser.close()


class Opened:
    """A page opened from disk, with what went wrong and what it asked for.

    Attributes:
      page: Playwright's page.
      problems: console errors and warnings, uncaught errors.
      requests: addresses asked for, but for data within the page.
    """

    def __init__(self, browser, path, **options):
        """Options are those of a Playwright context."""
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        self.context = browser.new_context(
            reduced_motion="reduce", offline=True, **options
        )
        self.page = self.context.new_page()
        self.problems, self.requests = [], []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._see)
        self.page.goto(path.as_uri())

    def _hear(self, message):
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _see(self, request):
        if not request.url.startswith("data:"):
            self.requests.append(request.url)

    def settle(self):
        """Waits until what was asked for is drawn."""
        self.page.evaluate(
            "() => new Promise(done => "
            "requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - window.innerWidth"
        )
