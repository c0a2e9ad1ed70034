"""What a message says of a notice: ids and figures, tokens and money as strings."""

from collections.abc import Mapping
from typing import Any

from accounts.models import NoticeCause, NoticeKind, WebhookEvent
from portal.kernel.rest.fields import format_decimal_tokens

EVENT_OF_NOTICE = {
    NoticeKind.BALANCE_LOW: WebhookEvent.BALANCE_LOW,
    NoticeKind.BUDGET_REACHED: WebhookEvent.BUDGET_REACHED,
    NoticeKind.ORDER_PAID: WebhookEvent.ORDER_PAID,
    NoticeKind.TOP_UP_PAID: WebhookEvent.ORDER_PAID,
}
# Names of people and packs are looked up under the ids by who may see them.
_TOLD = ("order", "currency", "percent", "period", "ends_at")


def describe_for_webhook(params: Mapping[str, Any], cause: NoticeCause | None) -> dict[str, Any]:
    """``params`` are those that ``accounts.notice_words`` lists."""
    data = {name: params[name] for name in _TOLD if name in params}
    for name, value in params.items():
        if name.endswith("millitokens"):
            data[name.replace("millitokens", "tokens")] = format_decimal_tokens(value)
        elif name.endswith("_minor"):
            data[name] = str(value)
    if cause is not None and cause.kind == NoticeKind.BUDGET_REACHED:
        data["budget"] = cause.subject.partition(":")[0]
    return data
