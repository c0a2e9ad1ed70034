"""The codes of problem documents, as those who meet them read about them.

The ``type`` of a problem leads to its line here. Codes that concern one field only (in
``errors``) say enough by themselves.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class ProblemCode:
    """A status, its stable code, and the way out."""

    status: int
    code: str
    advice: Promise


PROBLEM_CODES = (
    ProblemCode(400, "invalid_input", _("Look at errors: each names a place and a reason.")),
    ProblemCode(400, "parse_error", _("The body is no JSON that can be stored.")),
    ProblemCode(400, "listing_rejected", _("Fields of the listing cannot be accepted.")),
    ProblemCode(400, "credential_needed", _("A new endpoint needs its credential again.")),
    ProblemCode(400, "price_rejected", _("A price is out of bounds.")),
    ProblemCode(400, "price_rise_needs_notice", _("Let it begin later; earliest_at says when.")),
    ProblemCode(400, "grant_rejected", _("The ceiling or the lifetime of the grant cannot be.")),
    ProblemCode(400, "grant_unreadable", _("This is no grant of this market, or it was changed.")),
    ProblemCode(400, "grant_expired", _("Ask the caller for a new grant.")),
    ProblemCode(400, "hold_rejected", _("There is nothing to hold, or too little.")),
    ProblemCode(400, "usage_not_possible", _("More cached than prompted.")),
    ProblemCode(400, "time_in_future", _("Check your clock.")),
    ProblemCode(400, "batch_size", _("Send 1 to 1,000 events at once.")),
    ProblemCode(401, "not_authenticated", _("Send “Authorization: Bearer” and a key.")),
    ProblemCode(401, "key_malformed", _("Use the scheme Bearer.")),
    ProblemCode(401, "key_unknown", _("There is no such key. Copy it whole.")),
    ProblemCode(401, "key_suspended", _("Resume the key in the portal.")),
    ProblemCode(401, "key_expired", _("Create a new key in the portal.")),
    ProblemCode(401, "key_revoked", _("Create a new key in the portal.")),
    ProblemCode(402, "credit_balance_exhausted", _("The wallet cannot pay; buy a pack.")),
    ProblemCode(402, "grant_ceiling_exhausted", _("The grant's ceiling is used up.")),
    ProblemCode(402, "budget_exhausted", _("A budget or the key's cap would be broken.")),
    ProblemCode(402, "wallet_frozen", _("The wallet takes no new calls until it is cleared.")),
    ProblemCode(403, "scope_missing", _("Make a key that has the right named in detail.")),
    ProblemCode(403, "address_not_allowed", _("The key is confined to other addresses.")),
    ProblemCode(403, "role_missing", _("Whoever made the key needs a higher role.")),
    ProblemCode(403, "creator_left", _("Whoever made the key is no longer a member.")),
    ProblemCode(403, "test_key", _("Test keys reach test services and test tokens only.")),
    ProblemCode(403, "not_a_provider", _("Become a provider in the portal first.")),
    ProblemCode(403, "policy_violation", _("The policy does not allow the service.")),
    ProblemCode(403, "service_not_allowed", _("The key is confined to other services.")),
    ProblemCode(403, "grant_key_refused", _("The caller's key was suspended or revoked.")),
    ProblemCode(404, "not_found", _("Nothing is there, or it belongs to others.")),
    ProblemCode(404, "service_not_found", _("No such service, or it is another provider's.")),
    ProblemCode(404, "hold_not_found", _("No such hold, or it is another provider's.")),
    ProblemCode(405, "method_not_allowed", _("The header Allow names the methods.")),
    ProblemCode(400, "budget_rejected", _("A value of the budget is not possible.")),
    ProblemCode(409, "budget_exists", _("Change the budget that is there for this period.")),
    ProblemCode(409, "budget_archived", _("Make a new budget.")),
    ProblemCode(409, "request_in_flight", _("The first request still runs; ask again soon.")),
    ProblemCode(409, "under_review", _("Withdraw the review before changing the service.")),
    ProblemCode(409, "not_a_draft", _("Only drafts can be submitted.")),
    ProblemCode(409, "review_closed", _("Nothing is being reviewed.")),
    ProblemCode(409, "wrong_status", _("The service's status does not allow this.")),
    ProblemCode(409, "service_retired", _("List a new service instead.")),
    ProblemCode(409, "service_not_live", _("The service takes no calls now.")),
    ProblemCode(409, "hold_captured", _("The hold was charged before, with other numbers.")),
    ProblemCode(409, "hold_released", _("The hold was given back.")),
    ProblemCode(409, "hold_expired", _("The time for reporting is over; nothing is charged.")),
    ProblemCode(409, "too_many_open_orders", _("Pay or cancel some orders first.")),
    ProblemCode(400, "refund_not_possible", _("The quote's refusal says why.")),
    ProblemCode(409, "refund_changed", _("Read the quote again, and ask for that amount.")),
    ProblemCode(409, "refund_decided", _("The refund was decided or withdrawn before.")),
    ProblemCode(409, "debt_outstanding", _("Settle what your bank took back first.")),
    ProblemCode(409, "order_closed", _("The order can no longer be paid.")),
    ProblemCode(413, "body_too_large", _("A body has at most 1 MB.")),
    ProblemCode(415, "unsupported_media_type", _("Send application/json.")),
    ProblemCode(422, "idempotency_key_reused", _("Use a new Idempotency-Key.")),
    ProblemCode(429, "throttled", _("Wait as long as Retry-After says.")),
    ProblemCode(500, "internal_error", _("Our fault. Quote the request id if you write to us.")),
    ProblemCode(503, "busy", _("Nothing was changed; repeat the request.")),
    ProblemCode(503, "ledger_unguarded", _("Nothing was changed; repeat it in a few minutes.")),
    ProblemCode(503, "seals_disagree", _("Nothing can be proved until the operator has looked.")),
    ProblemCode(503, "payments_unavailable", _("Nothing was charged; repeat the request.")),
)
