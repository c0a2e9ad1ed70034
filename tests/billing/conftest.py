"""The standard pack on the shelf."""

import pytest

from marketplace.billing.models import Pack
from tests.billing.shop import make_pack


@pytest.fixture
def team_pack(db: None) -> Pack:
    """100M tokens and 5M bonus for $95, €89 or ¥14,500; a year."""
    return make_pack()
