"""The fixtures of this room; others ask for them by ``pytest_plugins``."""

from tests.billing.fixtures import fake_stripe, processor, team_pack

__all__ = ["fake_stripe", "processor", "team_pack"]
