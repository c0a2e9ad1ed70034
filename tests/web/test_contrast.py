"""The colours of the one stylesheet, measured: text 4.5, controls and charts 3, in both themes."""

import gzip
import re

import pytest
from django.conf import settings

STYLESHEET = settings.BASE_DIR / "portal" / "static" / "css" / "tokenworks.css"
THEMES = ("light", "dark")

TEXT_ON = [
    *((text, ground) for text in ("text", "muted") for ground in ("bg", "surface", "subtle")),
    *(
        (text, ground)
        for text in ("primary", "primary-strong", "ok", "warn", "bad")
        for ground in ("bg", "surface", "raised")
    ),
    ("text", "raised"),
    ("muted", "raised"),
    ("primary", "primary-tint"),
    ("primary", "subtle"),
    ("ok", "ok-tint"),
    ("warn", "warn-tint"),
    ("bad", "bad-tint"),
    *(("text", tint) for tint in ("primary-tint", "ok-tint", "warn-tint", "bad-tint")),
    ("on-primary", "primary"),
    ("on-primary", "primary-strong"),
    ("on-bad", "bad"),
]
CONTROLS_ON = [
    *(("control", ground) for ground in ("bg", "surface", "raised")),
    *(("primary", ground) for ground in ("bg", "surface")),
    *((f"chart-{series}", "surface") for series in (1, 2, 3, 4, 5, "other")),
]


def read_tokens() -> dict[str, dict[str, str]]:
    """Theme → name → ``#rrggbb``."""
    pairs = re.findall(
        r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", STYLESHEET.read_text()
    )
    return {
        "light": {name: light for name, light, _ in pairs},
        "dark": {name: dark for name, _, dark in pairs},
    }


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio of two colours."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("text", "ground"), TEXT_ON)
def test_text_can_be_read(theme: str, text: str, ground: str) -> None:
    tokens = read_tokens()[theme]
    assert contrast(tokens[text], tokens[ground]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("control", "ground"), CONTROLS_ON)
def test_controls_and_charts_can_be_seen(theme: str, control: str, ground: str) -> None:
    tokens = read_tokens()[theme]
    assert contrast(tokens[control], tokens[ground]) >= 3


def test_the_stylesheet_and_the_script_stay_small() -> None:
    scripts = STYLESHEET.parent.parent / "js"
    assert len(gzip.compress(STYLESHEET.read_bytes())) <= 25_000
    assert sum(len(gzip.compress(file.read_bytes())) for file in scripts.iterdir()) <= 6_000
