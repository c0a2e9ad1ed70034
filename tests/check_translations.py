"""Are all texts translated?

    python -m tests.check_translations           fails on what is missing, unsure or left over
    python -m tests.check_translations --write   brings portal/locale up to date and compiles it

The texts are collected in a copy, since ``makemessages`` writes beside its sources.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import django
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.core.management import CommandError, call_command

from portal.management.translations import compile_translations

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("portal", "accounts", "marketplace", "templates")
LANGUAGES = ("zh_Hans",)
SHOWN = 40


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    with tempfile.TemporaryDirectory() as folder:
        locale = collect_texts(Path(folder))
        if "--write" in sys.argv[1:]:
            shutil.copytree(locale, ROOT / "portal" / "locale", dirs_exist_ok=True)
            compile_translations([ROOT / "portal" / "locale"])
            return
        problems = [line for language in LANGUAGES for line in find_problems(locale, language)]
    for line in problems[:SHOWN]:
        print(line)
    if problems:
        sys.exit(f"{len(problems)} texts need work: run `make messages` and translate them.")


def collect_texts(copy: Path) -> Path:
    """The catalogues as they would be after ``makemessages``; returns their folder."""
    for name in SOURCES:
        shutil.copytree(
            ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.mo", "static")
        )
    locale = copy / "portal" / "locale"
    for language in LANGUAGES:
        _begin_catalogue(locale / language / "LC_MESSAGES" / "django.po", language)
    settings.LOCALE_PATHS = [str(locale)]
    before = Path.cwd()
    os.chdir(copy)
    try:
        call_command(
            "makemessages",
            locale=list(LANGUAGES),
            extensions=["html", "txt", "py"],
            no_wrap=True,
            add_location="file",
            verbosity=0,
        )
    except CommandError as failed:
        sys.exit(f"The texts cannot be collected: {failed}")
    finally:
        os.chdir(before)
    return locale


def _begin_catalogue(path: Path, language: str) -> None:
    """A header that knows how many plural forms there are; ``makemessages`` would write two."""
    if path.exists():
        return
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        write_po(file, Catalog(locale=language, fuzzy=False))


def find_problems(locale: Path, language: str) -> Iterator[str]:
    path = locale / language / "LC_MESSAGES" / "django.po"
    with path.open("rb") as file:
        catalog: Catalog = read_po(file)
    for message in catalog:
        if not message.id:
            continue
        if message.fuzzy:
            yield f"{language}: unsure (fuzzy): {_name(message)}"
        elif not _is_translated(message):
            yield f"{language}: not translated: {_name(message)}"
        else:
            for error in message.check(catalog):
                yield f"{language}: {error}: {_name(message)}"
    for message in catalog.obsolete.values():
        yield f"{language}: no longer used: {_name(message)}"


def _is_translated(message: Message) -> bool:
    texts = message.string if isinstance(message.string, list | tuple) else [message.string]
    return all(texts)


def _name(message: Message) -> str:
    text = message.id if isinstance(message.id, str) else message.id[0]
    where = ", ".join(file for file, _line in message.locations[:2])
    return f"{text[:100]!r} ({where})"


if __name__ == "__main__":
    main()
