"""What holds for every page, measured in Chromium: see shared/ux.md, "Rules" and "Budgets"."""

import gzip
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Error, Page, Response

from tests.browser import PageWatch

NARROW = {"width": 320, "height": 800}
WIDE = {"width": 1280, "height": 900}
# In the other theme the document is the same; only its colours are worth a second look.
ALL_RULES: dict[str, Any] = {"resultTypes": ["violations"]}
COLOUR_RULES = {**ALL_RULES, "runOnly": {"type": "rule", "values": ["color-contrast"]}}
# Gzipped, as a proxy sends them and as static files are once they are collected.
FIRST_LOAD_BYTES = 80 * 1024
CHART_PAGE_BYTES = 160 * 1024
HTML_BYTES = 20 * 1024
REQUESTS = 8

# One question per page instead of one per fact.
FACTS = """() => ({
  headings: document.querySelectorAll("h1").length,
  heading: (document.querySelector("h1") || {}).innerText || "",
  title: document.title,
  language: document.documentElement.lang,
  skips: (document.querySelector("body > a[href='#main']") || {}).innerText || "",
  main: document.querySelectorAll("main#main").length,
})"""
EXCESS = "document.documentElement.scrollWidth - window.innerWidth"


@dataclass
class Load:
    """What a first visit transfers."""

    requests: int = 0
    all_bytes: int = 0
    html_bytes: int = 0


@dataclass
class Inspector:
    """Looks at pages in one browser context (one person) and gathers what is wrong."""

    context: BrowserContext
    language: str
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page: Page = self.context.new_page()
        self.watch = PageWatch(self.page)
        self._answers: list[Response] = []
        self._sizes: dict[str, int] = {}
        self.page.on("response", lambda answer: self._answers.append(answer))
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        self.page.set_viewport_size(WIDE)  # type: ignore[arg-type]

    def visit(
        self, url: str, *, charts: bool = False, long: bool = False, foreign: bool = False
    ) -> None:
        """Open it and note under its address all that should not be.

        ``long``: a document of many screens, limited by the first load alone. ``foreign``: another
        project's page (Swagger's); ours are only its frame and its policy.
        """
        self._answers.clear()
        self.watch.complaints.clear()
        answer = self.page.goto(url)
        found = answer.status if answer else 0
        if found != 200:
            self._complain(url, f"answered {found}")
            return
        if not foreign:
            self._check_facts(url)
            self._check_load(url, charts=charts, long=long)
            self._check_colours_and_rules(url)
        self.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        excess = self.page.evaluate(EXCESS)
        if excess > 0:
            self._complain(url, f"is {excess} px too wide at 320 px")
        self.page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        for complaint in self.watch.complaints:
            self._complain(url, f"the browser says: {complaint}")

    def _check_facts(self, url: str) -> None:
        facts = self.page.evaluate(FACTS)
        if facts["headings"] != 1 or not facts["heading"].strip():
            self._complain(url, f"{facts['headings']} h1 {facts['heading']!r}")
        if not facts["title"].strip() or facts["title"].startswith("Error:"):
            self._complain(url, f"title {facts['title']!r}")
        if facts["language"].lower() != self.language:
            self._complain(url, f"lang is {facts['language']!r}")
        if not facts["skips"] or facts["main"] != 1:
            self._complain(url, "no skip link to main")

    def _check_load(self, url: str, *, charts: bool, long: bool) -> None:
        load = self._weigh()
        if load.all_bytes > (CHART_PAGE_BYTES if charts else FIRST_LOAD_BYTES):
            self._complain(url, f"loads {load.all_bytes} bytes")
        if load.html_bytes > HTML_BYTES and not long:
            self._complain(url, f"HTML of {load.html_bytes} bytes")
        if load.requests > REQUESTS:
            self._complain(url, f"{load.requests} requests")

    def _weigh(self) -> Load:
        """Files that the browser has already count all the same: a first visit has none."""
        load = Load()
        for answer in self._answers:
            if answer.status != 200:
                continue
            is_page = answer.request.resource_type == "document"
            if is_page or answer.url not in self._sizes:
                try:
                    self._sizes[answer.url] = len(gzip.compress(answer.body()))
                except Error:  # a straggler of the page before
                    continue
            load.requests += 1
            load.all_bytes += self._sizes[answer.url]
            load.html_bytes += self._sizes[answer.url] if is_page else 0
        return load

    def _check_colours_and_rules(self, url: str) -> None:
        axe = Axe()
        for theme, rules in (("light", ALL_RULES), ("dark", COLOUR_RULES)):
            self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
            results = axe.run(self.page, options=rules)
            for violation in results.response["violations"]:
                where = violation["nodes"][0]["html"][:160]
                self._complain(url, f"axe, {theme}: {violation['id']} at {where}")
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")

    def _complain(self, url: str, what: str) -> None:
        self.wrong.append(f"{url} [{self.language}]: {what}")
