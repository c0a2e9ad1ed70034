"""What is listed to be said in our own words is what allauth says."""

import gettext
from pathlib import Path

import allauth
import pytest
from django.utils import translation

from accounts import borrowed_texts

CATALOGUE = Path(allauth.__file__).parent / "locale/zh_Hans/LC_MESSAGES/django.mo"
NOT_OUR_WORDS = ("账户", "登出", "Email", "无效", "电子邮件")
TEXTS = [
    *borrowed_texts.REFUSALS,
    *borrowed_texts.FIELDS,
    *borrowed_texts.NEWS,
    *borrowed_texts.MAILS,
]


@pytest.mark.parametrize("text", TEXTS)
def test_allauth_says_it_and_we_translate_it(text: str) -> None:
    with CATALOGUE.open("rb") as file:
        theirs = gettext.GNUTranslations(file)
    assert theirs.gettext(text) != text  # a new release may have said it anew
    with translation.override("zh-hans"):
        ours = translation.gettext(text)
    assert ours != text
    assert [word for word in NOT_OUR_WORDS if word in ours] == []
