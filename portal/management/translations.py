"""Compiled translation catalogues without the gettext tools: Babel writes what Django reads."""

import os
from collections.abc import Iterable
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po


def compile_translations(locale_folders: Iterable[Path]) -> list[Path]:
    """Compile each ``.po`` that is newer than its ``.mo``; returns what was written.

    Written beside and renamed, so that a process that reads at that moment sees a whole file.
    """
    written = []
    for folder in locale_folders:
        for source in sorted(folder.glob("*/LC_MESSAGES/*.po")):
            target = source.with_suffix(".mo")
            if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
                continue
            draft = target.with_suffix(f".{os.getpid()}.draft")
            with source.open("rb") as text, draft.open("wb") as binary:
                write_mo(binary, read_po(text))
            draft.rename(target)
            written.append(target)
    return written


if __name__ == "__main__":
    compile_translations([Path(__file__).resolve().parents[1] / "locale"])
