"""The plugin that knows browser tests: what it misses runs among the others and breaks them."""

import pytest

pytest_plugins = ["pytester"]

TESTS = """
def test_a_page(page): ...
def test_a_browser(browser): ...
def test_the_driver(playwright): ...
def test_none(tmp_path): ...
"""


@pytest.mark.parametrize(("chosen", "names"), [
    ("browser", ["test_a_browser", "test_a_page", "test_the_driver"]),
    ("not browser", ["test_none"]),
])  # fmt: skip
def test_whatever_needs_the_driver_is_a_browser_test(
    pytester: pytest.Pytester, chosen: str, names: list[str]
) -> None:
    pytester.makeini("[pytest]\nmarkers = browser: in a browser")
    pytester.makepyfile(TESTS)
    found = pytester.runpytest(
        *["-p", "no:django", "-p", "no:asyncio", "-p", "tests.browser"],
        *["--collect-only", "-q", "-m", chosen],
    )
    collected = [line.split("::")[1] for line in found.outlines if "::" in line]
    assert sorted(name.split("[")[0] for name in collected) == names
