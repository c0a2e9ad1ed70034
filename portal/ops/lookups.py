"""Records that an address names."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.http import Http404

from portal.kernel.errors import NotFound

Key = ParamSpec("Key")
Record = TypeVar("Record")


def find_or_404(find: Callable[Key, Record], *key: Key.args, **named_key: Key.kwargs) -> Record:
    """What the selector ``find`` answers; Http404 where it raises NotFound."""
    try:
        return find(*key, **named_key)
    except NotFound as missing:
        raise Http404 from missing
