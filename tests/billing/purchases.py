"""Members who ask for packs."""

from typing import Any

from accounts.models import Organisation, User
from accounts.services import Actor
from marketplace.billing import services
from marketplace.billing.models import Pack, PurchaseRequest
from portal.kernel.clock import utc_now


def ask_for(pack: Pack, organisation: Organisation, user: User, **more: Any) -> PurchaseRequest:
    """Two of the pack in dollars."""
    said = {"currency": "USD", "quantity": 2, "note": "For the demo", "form_key": "ask-1", **more}
    return services.request_purchase(
        organisation=organisation,
        user=user,
        pack=pack,
        actor=Actor(id=user.public_id, label=user.email),
        now=utc_now(),
        **said,
    )
