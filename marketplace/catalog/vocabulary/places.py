"""Where services run: regions of our own naming, countries and languages by their standards."""

from collections.abc import Sequence
from functools import lru_cache

from babel import Locale
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from marketplace.catalog.vocabulary.terms import Term, by_code, label_of

REGIONS = by_code(
    Term("eu-central", _("Central Europe"), "eu europe gdpr 欧洲 欧盟"),
    Term("eu-west", _("Western Europe"), "eu europe gdpr 欧洲 欧盟"),
    Term("eu-north", _("Northern Europe"), "eu europe gdpr nordic 欧洲 欧盟 北欧"),
    Term("uk", _("United Kingdom"), "uk britain england 英国"),
    Term("us-east", _("US East"), "us usa united states america 美国 美东"),
    Term("us-west", _("US West"), "us usa united states america 美国 美西"),
    Term("ca-central", _("Canada Central"), "canada 加拿大"),
    Term("cn-north", _("North China"), "china beijing 中国 华北 北京"),
    Term("cn-east", _("East China"), "china shanghai hangzhou 中国 华东 上海 杭州"),
    Term("cn-south", _("South China"), "china guangzhou shenzhen 中国 华南 广州 深圳"),
    Term("ap-southeast", _("Southeast Asia"), "asia singapore 亚洲 东南亚 新加坡"),
    Term("ap-northeast", _("Northeast Asia"), "asia japan korea 亚洲 东北亚 日本 韩国"),
    Term("ap-south", _("South Asia"), "asia india 亚洲 南亚 印度"),
    Term("me-central", _("Middle East"), "middle east gulf 中东"),
    Term("sa-east", _("South America"), "latin america brazil 南美 巴西"),
    Term("af-south", _("Southern Africa"), "africa 非洲"),
    Term("au-east", _("Australia East"), "australia oceania 澳大利亚 大洋洲"),
)


def region_label(code: str) -> str:
    return label_of(REGIONS, code)


@lru_cache(maxsize=4)
def _locale(chinese: bool) -> Locale:
    return Locale("zh", script="Hans") if chinese else Locale("en")


def _reader_locale() -> Locale:
    return _locale((get_language() or "en").startswith("zh"))


# Codes that locale data names although no country has them: unions, test regions, "unknown".
_NO_COUNTRIES = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})


def is_country(code: str) -> bool:
    """Whether this is an assigned ISO 3166-1 alpha-2 code."""
    if len(code) != 2 or not code.isalpha() or code in _NO_COUNTRIES:
        return False
    return code in _locale(False).territories


def country_label(code: str, *, chinese: bool | None = None) -> str:
    """The country's name in the reader's language, or in the one asked for."""
    locale = _reader_locale() if chinese is None else _locale(chinese)
    return str(locale.territories.get(code, code))


def language_label(code: str, *, chinese: bool | None = None) -> str:
    """A BCP 47 code's language as the reader calls it: "zh" is "Chinese", "中文"."""
    locale = _reader_locale() if chinese is None else _locale(chinese)
    return str(locale.languages.get(code.replace("-", "_"), code))


def in_a_row(labels: Sequence[str]) -> str:
    """ "English, Chinese", in Chinese "英语、中文"."""
    return ("、" if (get_language() or "en").startswith("zh") else ", ").join(labels)
