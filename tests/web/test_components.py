"""The parts of pages: what a screen reader, a keyboard and a URL get from them."""

import re
from typing import Any

import pytest
from django import forms
from django.core.paginator import Paginator
from django.template import Context, Template, TemplateSyntaxError
from django.template.loader import render_to_string
from django.test import RequestFactory

from portal.web.templatetags.components import STATUS_LEVELS


class KeyForm(forms.Form):
    name = forms.CharField(help_text="Shown in the reports.")
    scopes = forms.MultipleChoiceField(
        choices=[("inference", "Call models"), ("read", "Read usage")],
        widget=forms.CheckboxSelectMultiple,
    )
    cap = forms.IntegerField(required=False)
    agree = forms.BooleanField(label="I accept the terms")
    secret = forms.CharField(widget=forms.HiddenInput, required=False)

    def clean(self) -> dict[str, Any]:
        if self.data.get("cap") == "13":
            raise forms.ValidationError("This cap is unlucky; nothing was changed.")
        return self.cleaned_data


def render(source: str, path: str = "/o/acme/keys/", **context: Any) -> str:
    request = RequestFactory().get(path)
    return Template(source).render(Context({"request": request, **context}))


def test_every_control_of_a_form_is_labelled_and_described() -> None:
    form = KeyForm({"name": ""})
    html = render_to_string("components/form.html", {"form": form, "submit": "Create key"})
    found = re.findall(r'\bid="([^"]+)"', html)
    ids = set(found)
    assert len(found) == len(ids)
    for control in re.findall(r"<(?:input|select|textarea)[^>]*>", html):
        if 'type="hidden"' in control:
            continue
        control_id = re.search(r'\bid="([^"]+)"', control)
        assert control_id
        assert f'for="{control_id.group(1)}"' in html
    for described in re.findall(r'aria-describedby="([^"]+)"', html):
        assert set(described.split()) <= ids
    assert html.count('aria-invalid="true"') >= 2
    assert "Shown in the reports." in html
    assert html.count("(optional)") == 1


def test_the_error_summary_is_focused_and_links_to_the_fields() -> None:
    form = KeyForm({"cap": "13"})
    html = render_to_string("components/form.html", {"form": form, "submit": "Create key"})
    summary = html[: html.index("<form")]
    assert "autofocus" in summary
    assert 'tabindex="-1"' in summary
    assert "This cap is unlucky; nothing was changed." in summary
    targets = re.findall(r'href="#([^"]+)"', summary)
    assert targets == ["id_name", "id_scopes_0", "id_agree"]
    for target in targets:
        assert f'id="{target}"' in html


def test_a_fine_form_has_no_summary_and_keeps_its_input() -> None:
    form = KeyForm(initial={"name": "Support <bot>"})
    html = render_to_string("components/form.html", {"form": form, "submit": "Create key"})
    assert "error-summary" not in html
    assert "Support &lt;bot&gt;" in html


def test_the_title_of_a_refused_page_says_so() -> None:
    source = "{% error_prefix %}"
    assert render(source, form=KeyForm({})) == "Error: "
    assert render(source, form=KeyForm()) == ""
    assert render(source, other=KeyForm({}), form=KeyForm()) == "Error: "


def test_navigation_marks_the_page_and_its_section() -> None:
    source = "{% nav_item 'web:landing' 'Home' exact=True %}"
    assert 'aria-current="page"' in render(source, path="/")
    assert "aria-current" not in render(source, path="/docs/")
    section = "{% nav_item 'web:docs' 'Docs' %}"
    assert 'aria-current="page"' in render(section, path="/docs/")
    assert 'aria-current="true"' in render(section, path="/docs/quickstart/")


def test_pages_keep_the_rest_of_the_url() -> None:
    page = Paginator(range(230), 20).page(5)
    html = render("{% pager page %}", path="/services/?q=qwen&page=5&region=eu", page=page)
    assert 'href="?q=qwen&amp;page=6&amp;region=eu" rel="next"' in html
    assert 'href="?q=qwen&amp;page=4&amp;region=eu" rel="prev"' in html
    assert "81–100 of 230" in html
    assert '<span aria-current="page">5</span>' in html


def test_a_single_page_has_no_links() -> None:
    html = render("{% pager page %}", page=Paginator(range(3), 20).page(1))
    assert "1–3 of 3" in html
    assert "href" not in html


@pytest.mark.parametrize(
    ("path", "aria_sort", "target"),
    [
        ("/services/?page=3&q=a", "", "?q=a&amp;sort=price"),
        ("/services/?sort=price", "ascending", "?sort=-price"),
        ("/services/?sort=-price", "descending", "?sort=price"),
        ("/services/?sort=name", "", "?sort=price"),
    ],
)
def test_a_header_sorts_and_says_how_it_is_sorted(path: str, aria_sort: str, target: str) -> None:
    html = render("{% sort_header 'price' 'Price' numeric=True %}", path=path)
    assert f'href="{target}"' in html
    assert (f'aria-sort="{aria_sort}"' in html) is bool(aria_sort)


def test_a_column_of_amounts_can_begin_with_the_largest() -> None:
    source = "{% sort_header 'spend' 'Spend' descending_first=True %}"
    assert 'href="?sort=-spend"' in render(source, path="/")
    assert 'href="?sort=spend"' in render(source, path="/?sort=-spend")


def test_badges_say_in_a_word_what_they_say_in_colour() -> None:
    for level, words in STATUS_LEVELS.items():
        for word in words.split():
            html = render("{% status_badge status label %}", status=word, label="Label")
            assert f"badge-{level}" in html
            assert "Label" in html
            assert 'aria-hidden="true"' in html
    assert "badge-info" in render("{% status_badge 'something-new' 'New' %}")


def test_no_status_has_two_colours() -> None:
    words = [word for words in STATUS_LEVELS.values() for word in words.split()]
    assert len(words) == len(set(words))


def test_code_stacks_and_each_sample_can_be_copied() -> None:
    snippets = [("curl", "curl", "curl <url>"), ("python", "Python", "print(1)")]
    html = render("{% code_tabs snippets %}", snippets=snippets)
    assert "curl &lt;url&gt;" in html
    assert html.count("code-name") == 2
    for target in re.findall(r'data-copy="([^"]+)"', html):
        assert f'id="{target}"' in html


def test_what_people_typed_is_escaped_in_every_part() -> None:
    evil = '"><script>alert(1)</script>'
    html = render(
        "{% stat x x change=x %}{% notice 'warn' x x %}{% empty_state x '/' x %}{% badge 'ok' x %}"
        "{% copyable x %}{% card title=x lead=x id='a' %}{{ x }}{% endcard %}",
        x=evil,
    )
    assert "<script>alert" not in html


def test_a_card_refuses_options_that_it_does_not_know() -> None:
    with pytest.raises(TemplateSyntaxError, match="card does not know"):
        render("{% card titel='Typo' %}{% endcard %}")


def test_a_captured_block_can_be_used_twice() -> None:
    assert render("{% capture x %} Keys {% endcapture %}{{ x }}|{{ x }}") == "Keys|Keys"
    with pytest.raises(TemplateSyntaxError, match="one variable name"):
        render("{% capture %}{% endcapture %}")
