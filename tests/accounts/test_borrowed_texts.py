"""What is listed to be said in our own words is what allauth and Django say."""

import gettext
from pathlib import Path

import allauth
import django
import pytest
from django.utils import translation

from accounts import borrowed_texts

ALLAUTH = Path(allauth.__file__).parent / "locale"
DJANGO = Path(django.__file__).parent / "conf/locale"
DJANGO_PASSWORDS = Path(django.__file__).parent / "contrib/auth/locale"
BORROWED = [
    *((ALLAUTH, text) for text in borrowed_texts.REFUSALS),
    *((ALLAUTH, text) for text in borrowed_texts.FIELDS),
    *((ALLAUTH, text) for text in borrowed_texts.NEWS),
    *((ALLAUTH, text) for text in borrowed_texts.MAILS),
    *((DJANGO, text) for text in borrowed_texts.FORMS),
    *((DJANGO_PASSWORDS, text) for text in borrowed_texts.PASSWORDS),
]
NOT_OUR_WORDS = ("你", "账户", "登出", "Email", "无效", "合法", "电子邮件")


@pytest.mark.parametrize(("locale", "text"), BORROWED)
def test_they_say_it_and_we_translate_it(locale: Path, text: str) -> None:
    with (locale / "zh_Hans/LC_MESSAGES/django.mo").open("rb") as file:
        theirs = gettext.GNUTranslations(file)
    assert theirs.gettext(text) != text  # a new release may have said it anew
    with translation.override("zh-hans"):
        ours = translation.gettext(text)
    assert ours != text
    assert [word for word in NOT_OUR_WORDS if word in ours] == []


@pytest.mark.parametrize("text", borrowed_texts.COUNTED)
def test_what_is_counted_is_said_in_our_words_too(text: str) -> None:
    with translation.override("zh-hans"):
        ours = str(text)
    assert ours.endswith("。")
    assert [word for word in NOT_OUR_WORDS if word in ours] == []
