"""The REST of all rooms, composed: addresses are chosen here, views are the rooms' own."""

from django.urls import path, re_path

import portal.kernel.rest.routes  # noqa: F401 (registers <public_id:…>, <month:…>)
from accounts import api as accounts
from marketplace.billing.api import documents, orders, refunds, statements
from marketplace.ledger import api as ledger
from marketplace.metering.api import budgets
from marketplace.metering.api import calls as metering
from marketplace.partners.api import (
    direct,
    earnings,
    grants,
    listing_moves,
    listings,
    usage_events,
)
from portal.kernel.rest import NoSuchRoute
from portal.web import api_docs

app_name = "api"

TENANT = "api/v1"
PROVIDER = "api/provider/v1"
BUDGET = f"{TENANT}/budgets/<public_id:budget>"
ORDER = f"{TENANT}/orders/<public_id:order>"
REFUND = f"{TENANT}/refunds/<public_id:refund>"
DOCUMENT = f"{TENANT}/documents/<public_id:document>"
STATEMENT = f"{TENANT}/statements/<month:month>"
SERVICE = f"{PROVIDER}/services/<public_id:service>"
HOLD = f"{PROVIDER}/holds/<public_id:hold>"

tenant_routes = [
    path(f"{TENANT}/organisation", accounts.OrganisationView.as_view(), name="organisation"),
    path(f"{TENANT}/wallet", ledger.WalletView.as_view(), name="wallet"),
    path(f"{TENANT}/lots", ledger.LotsView.as_view(), name="lots"),
    path(f"{TENANT}/entries", ledger.EntriesView.as_view(), name="entries"),
    path(f"{TENANT}/proof", ledger.ProofView.as_view(), name="proof"),
    path(f"{TENANT}/calls", metering.CallsView.as_view(), name="calls"),
    path(f"{TENANT}/calls/<public_id:call>", metering.CallView.as_view(), name="call"),
    path(f"{TENANT}/usage/daily", metering.DailyUsageView.as_view(), name="daily_usage"),
    path(f"{TENANT}/budgets", budgets.BudgetsView.as_view(), name="budgets"),
    path(BUDGET, budgets.OneBudgetView.as_view(), name="budget"),
    path(f"{BUDGET}/archive", budgets.ArchiveBudgetView.as_view(), name="budget_archive"),
    path(f"{TENANT}/packs", orders.PacksView.as_view(), name="packs"),
    path(f"{TENANT}/orders", orders.OrdersView.as_view(), name="orders"),
    path(ORDER, orders.OrderView.as_view(), name="order"),
    path(f"{ORDER}/pay", orders.PayOrderView.as_view(), name="order_pay"),
    path(f"{ORDER}/check", orders.CheckOrderView.as_view(), name="order_check"),
    path(f"{ORDER}/cancel", orders.CancelOrderView.as_view(), name="order_cancel"),
    path(f"{ORDER}/refund-quote", refunds.RefundQuoteView.as_view(), name="refund_quote"),
    path(f"{ORDER}/refunds", refunds.OrderRefundsView.as_view(), name="order_refunds"),
    path(f"{TENANT}/refunds", refunds.RefundsView.as_view(), name="refunds"),
    path(REFUND, refunds.RefundView.as_view(), name="refund"),
    path(f"{REFUND}/withdraw", refunds.WithdrawRefundView.as_view(), name="refund_withdraw"),
    path(f"{TENANT}/documents", documents.DocumentsView.as_view(), name="documents"),
    path(DOCUMENT, documents.DocumentView.as_view(), name="document"),
    path(f"{DOCUMENT}/pdf", documents.DocumentPdfView.as_view(), name="document_pdf"),
    path(f"{TENANT}/statements", statements.StatementsView.as_view(), name="statements"),
    path(STATEMENT, statements.StatementView.as_view(), name="statement"),
    path(f"{STATEMENT}/pdf", statements.StatementPdfView.as_view(), name="statement_pdf"),
    path(f"{STATEMENT}/csv", statements.StatementCsvView.as_view(), name="statement_csv"),
    path(f"{TENANT}/direct-grants", grants.GrantsView.as_view(), name="direct_grants"),
]
provider_routes = [
    path(f"{PROVIDER}/services", listings.ListingsView.as_view(), name="provider_services"),
    path(SERVICE, listings.ListingView.as_view(), name="provider_service"),
    path(f"{SERVICE}/prices", listings.PricesView.as_view(), name="provider_prices"),
    path(f"{SERVICE}/submit", listing_moves.SubmitView.as_view(), name="provider_submit"),
    path(f"{SERVICE}/withdraw", listing_moves.WithdrawView.as_view(), name="provider_withdraw"),
    path(f"{SERVICE}/pause", listing_moves.PauseView.as_view(), name="provider_pause"),
    path(f"{SERVICE}/resume", listing_moves.ResumeView.as_view(), name="provider_resume"),
    path(f"{SERVICE}/retire", listing_moves.RetireView.as_view(), name="provider_retire"),
    path(f"{PROVIDER}/calls", earnings.ServedCallsView.as_view(), name="provider_calls"),
    path(f"{PROVIDER}/earnings", earnings.EarningsView.as_view(), name="provider_earnings"),
    path(f"{PROVIDER}/holds", direct.HoldsView.as_view(), name="holds"),
    path(f"{HOLD}/extend", direct.ExtendView.as_view(), name="hold_extend"),
    path(f"{HOLD}/capture", direct.CaptureView.as_view(), name="hold_capture"),
    path(f"{HOLD}/release", direct.ReleaseView.as_view(), name="hold_release"),
    path(f"{PROVIDER}/usage-events", usage_events.UsageEventsView.as_view(), name="usage_events"),
]
urlpatterns = [
    path("api/schema/", api_docs.SchemaView.as_view(), name="schema"),
    path("docs/api/", api_docs.reference, name="docs"),
    path("docs/api/try/", api_docs.TryView.as_view(), name="try"),
    path(".well-known/tokenworks/jwks.json", grants.JwksView.as_view(), name="jwks"),
    *tenant_routes,
    *provider_routes,
    re_path("^api/", NoSuchRoute.as_view()),
]
