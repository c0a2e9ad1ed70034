"""How the Stripe account in memory is set up: profile, payment methods and webhook endpoints."""

from typing import Any

from tests.fakes.stripe_server_money_back import make_token


class Setup:
    """Of one account, on Stripe's own pages."""

    def __init__(self) -> None:
        self.charges_enabled = True
        self.has_tax = True
        self.methods = {"card", "alipay", "wechat_pay"}
        self.endpoints: list[dict[str, Any]] = []
        # What a restricted key may not do: ("GET", "refunds").
        self.denied: set[tuple[str, str]] = set()

    def add_endpoint(self, url: str, events: list[str], **more: Any) -> None:
        self.endpoints.append(
            {
                "id": f"we_{make_token(24)}",
                "object": "webhook_endpoint",
                "created": 1,
                "enabled_events": events,
                "livemode": False,
                "status": "enabled",
                "url": url,
                **more,
            }
        )

    def show_profile(self) -> dict[str, Any]:
        return {"id": "acct_1", "object": "account", "charges_enabled": self.charges_enabled}

    def show_tax(self) -> dict[str, Any]:
        return {"object": "tax.settings", "status": "active" if self.has_tax else "pending"}

    def list_configurations(self) -> list[dict[str, Any]]:
        """Of payment methods; the first is another's, which does not count."""
        on = {name: {"available": True} for name in self.methods}
        return [
            {"id": "pmc_1", "object": "payment_method_configuration", "is_default": False},
            {"id": "pmc_2", "object": "payment_method_configuration", "is_default": True, **on},
        ]
