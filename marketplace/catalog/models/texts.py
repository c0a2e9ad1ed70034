"""Texts that are kept in both languages."""

from django.utils.translation import get_language


def in_reader_language(english: str, chinese: str) -> str:
    """The text in the reader's language, else the one there is."""
    if (get_language() or "en").startswith("zh"):
        return chinese or english
    return english or chinese
