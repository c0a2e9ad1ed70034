"""Every form on every page, sent wrong: it says so on top, keeps what was typed, writes nothing."""

import html
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client

from accounts.models import User
from tests.cast import signed_in
from tests.flows.show import Market, make_market
from tests.flows.world import read_everything

TYPED = {"number": "seven", "date": "soon"}
# Filled in, but never with what is typed here: browsers do not get them back.
SECRETS = {"password"}
NOT_TYPED = {"hidden", "checkbox", "radio", "submit", "button", "reset", "image", "file"}
REFUSED = {200, 400, 409, 422}


@dataclass
class Field:
    name: str
    kind: str  # an input's type, "textarea" or "select"
    value: str
    required: bool

    @property
    def is_typed(self) -> bool:
        return self.kind not in NOT_TYPED | {"select"}


@dataclass
class Form:
    action: str
    fields: list[Field] = field(default_factory=list)

    def spoil(self) -> tuple[dict[str, str], list[str]] | None:
        """What to send, and what of it must come back; None where nothing is typed.

        The first thing that must be filled in is left out, and where nothing must be, what is
        typed is far too long; numbers and days are words.
        """
        typed = [found for found in self.fields if found.is_typed]
        if not typed:
            return None
        buttons = [found for found in self.fields if found.kind == "submit"]
        untouched = [found for found in self.fields if found.kind not in {"submit", "checkbox"}]
        sent = {found.name: found.value for found in [*untouched, *buttons[:1]]}
        left_out = next((found for found in typed if found.required), None)
        kept = []
        for found in typed:
            if found is left_out:
                sent[found.name] = ""
            else:
                words = f"Kept {found.name}" + (" and on" * 1000 if left_out is None else "")
                sent[found.name] = TYPED.get(found.kind, words)
                kept += [] if found.kind in SECRETS else [sent[found.name]]
        return sent, kept


class FormReader(HTMLParser):
    """The POST forms of ``<main>``."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._in_main = False
        self._form: Form | None = None
        self._select: Field | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attributes}
        if tag == "main":
            self._in_main = True
        elif tag == "form" and self._in_main and known.get("method", "").lower() == "post":
            self._form = Form(known.get("action", ""))
            self.forms.append(self._form)
        elif self._form is not None and tag in {"input", "textarea", "select", "button"}:
            self._add(tag, known)
        elif tag == "option" and self._select is not None and self._is_chosen(known):
            self._select.value = known.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "main":
            self._in_main = False
        elif tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None

    def _is_chosen(self, known: dict[str, str]) -> bool:
        return self._select is not None and ("selected" in known or not self._select.value)

    def _add(self, tag: str, known: dict[str, str]) -> None:
        assert self._form is not None
        if not known.get("name"):
            return
        usual = {"input": "text", "button": "submit"}
        kind = known.get("type", usual[tag]) if tag in usual else tag
        if kind == "radio" and "checked" not in known:
            return
        found = Field(known["name"], kind, known.get("value", ""), "required" in known)
        self._form.fields.append(found)
        self._select = found if tag == "select" else None


@pytest.fixture
def market(sam: User) -> Market:
    return make_market(sam)


def test_wrong_input_is_named_and_kept(market: Market) -> None:
    wrong: list[str] = []
    sent_forms: set[str] = set()
    for person, addresses in market.list_visits().items():
        browser = signed_in(User.objects.get(email=person)) if person else Client()
        for _name, path in addresses:
            page = browser.get(path, follow=True)
            if page.status_code != 200 or "text/html" not in page["Content-Type"]:
                continue
            here = page.redirect_chain[-1][0] if page.redirect_chain else path
            reader = FormReader()
            reader.feed(page.content.decode())
            for form in reader.forms:
                target = urlsplit(urljoin(here, form.action or here)).path
                spoilt = form.spoil()
                if spoilt is None or target in sent_forms:
                    continue
                sent_forms.add(target)
                wrong += [f"{target}: {what}" for what in refuse(browser, target, *spoilt)]
    assert not wrong, "\n".join(wrong)
    assert len(sent_forms) > 20, sorted(sent_forms)


def refuse(browser: Client, target: str, sent: dict[str, str], kept: list[str]) -> list[str]:
    """What is wrong with the answer to a form that was filled in wrong."""
    before = read_everything()
    answer = browser.post(target, sent)
    if read_everything() != before:
        return ["something was written"]
    if answer.status_code not in REFUSED:
        return [f"answered {answer.status_code} to {sent}"]
    text = answer.content.decode()
    found = []
    if "<title>Error: " not in text:
        found.append("the title does not say so")
    if "error-summary" not in text:
        found.append("no summary of errors")
    found += [f"lost {typed!r}" for typed in kept if html.escape(typed) not in text]
    return found
