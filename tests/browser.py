"""Pytest plugin: Chromium for the journeys, watched for what no page may do.

A test that needs the driver, however it asks for it (``page``, ``browser``), is a browser test: it
is marked so by itself and runs after all others, for the driver keeps an event loop that asyncio
tests would trip over. A ``page`` fails on any console error or violation of the
Content-Security-Policy.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page

CHROMIUM = Path("/usr/bin/chromium")
REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""
ARTIFACTS = Path(__file__).resolve().parent.parent / "test-artifacts"
README_IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def is_browser_test(item: pytest.Item) -> bool:
        return "playwright" in getattr(item, "fixturenames", ())

    for item in items:
        if is_browser_test(item):
            item.add_marker(pytest.mark.browser)
    items.sort(key=is_browser_test)


def launch_options() -> dict[str, Any]:
    """For Debian's Chromium; it may not reach out by itself, and root has no sandbox."""
    return {
        "executable_path": str(CHROMIUM),
        "args": [
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ],
    }


class PageWatch:
    """What the page complained of; ``allow`` what a test provokes (a 404, say)."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._allowed: list[re.Pattern[str]] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.add_init_script(REPORT_VIOLATIONS)

    def allow(self, pattern: str) -> None:
        self._allowed.append(re.compile(pattern))

    def assert_quiet(self) -> None:
        left = [
            text
            for text in self.complaints
            if not any(pattern.search(text) for pattern in self._allowed)
        ]
        assert not left, "the page complained:\n" + "\n".join(left)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")


def assert_accessible(page: Page, *, themes: tuple[str, ...] = ("light", "dark")) -> None:
    """No axe violation (WCAG 2.2 AA and best practices) in either theme."""
    for theme in themes:
        # Without motion: colours half-way from one theme to the other have no contrast.
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        results = Axe().run(page)
        assert results.violations_count == 0, f"{page.url} in {theme}:\n{results.generate_report()}"
    page.emulate_media(color_scheme="light")


def assert_fits(page: Page, *, width: int = 320) -> None:
    """No sideways scrolling of the page at this width (CSS pixels)."""
    before = page.viewport_size
    page.set_viewport_size({"width": width, "height": 800})
    too_wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert too_wide <= 0, f"{page.url} is {too_wide} px too wide at {width} px"
    if before:
        page.set_viewport_size(before)


def save_screenshot(page: Page, name: str) -> Path:
    """What the page looks like now, among the run's artifacts."""
    return _save(page, ARTIFACTS / f"{name}.png")


def save_readme_image(page: Page, name: str) -> Path:
    """A picture of the README, made anew when TOKENWORKS_SCREENSHOTS=1; else an artifact."""
    wanted = os.environ.get("TOKENWORKS_SCREENSHOTS") == "1"
    return _save(page, (README_IMAGES if wanted else ARTIFACTS) / f"{name}.png")


def _save(page: Page, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    return path
