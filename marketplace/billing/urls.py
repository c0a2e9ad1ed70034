"""Routes of packs, orders, documents, the sandbox's pay page and the webhook inbox."""

from django.urls import path

from marketplace.billing.views import (
    buying,
    documents,
    fapiao,
    orders,
    packs,
    purchase_requests,
    refunds,
    sandbox,
    sandbox_staff,
    statements,
    top_ups,
    vouchers,
    webhooks,
)

app_name = "billing"

_ORDER = "o/<slug:organisation>/orders/<str:order>/"
_REQUESTS = "o/<slug:organisation>/purchase-requests/"
_DOCUMENT = "o/<slug:organisation>/invoices/<str:document>/"
_STATEMENT = "o/<slug:organisation>/statements/<str:month>/"

urlpatterns = [
    path("packs/", packs.pack_list, name="packs"),
    path("o/<slug:organisation>/buy/", buying.buy, name="buy"),
    path("o/<slug:organisation>/orders/", orders.order_list, name="orders"),
    path(_ORDER, orders.order_detail, name="order"),
    path(f"{_ORDER}pay/", orders.pay_order, name="pay"),
    path(f"{_ORDER}check/", orders.check_order, name="check"),
    path(f"{_ORDER}cancel/", orders.cancel_order, name="cancel"),
    path(f"{_ORDER}receipt/", orders.receipt, name="receipt"),
    path(f"{_ORDER}proforma/", orders.proforma, name="proforma"),
    path(f"{_ORDER}proforma/pdf/", orders.proforma_pdf, name="proforma_pdf"),
    path(f"{_ORDER}refund/", refunds.ask_refund, name="refund"),
    path(
        "o/<slug:organisation>/refunds/<str:refund>/withdraw/",
        refunds.withdraw_refund,
        name="withdraw_refund",
    ),
    path(_REQUESTS, purchase_requests.request_list, name="purchase_requests"),
    path(f"{_REQUESTS}ask/", purchase_requests.ask_purchase, name="ask_purchase"),
    path(f"{_REQUESTS}<str:asked>/", purchase_requests.request_detail, name="purchase_request"),
    path(
        f"{_REQUESTS}<str:asked>/decline/",
        purchase_requests.decline_purchase,
        name="decline_purchase",
    ),
    path(
        f"{_REQUESTS}<str:asked>/withdraw/",
        purchase_requests.withdraw_purchase,
        name="withdraw_purchase",
    ),
    path("o/<slug:organisation>/fapiao/", fapiao.fapiao_list, name="fapiao"),
    path("o/<slug:organisation>/fapiao/new/", fapiao.ask_fapiao, name="ask_fapiao"),
    path(
        "o/<slug:organisation>/fapiao/<str:fapiao>/withdraw/",
        fapiao.withdraw_fapiao,
        name="withdraw_fapiao",
    ),
    path("o/<slug:organisation>/invoices/", documents.document_list, name="documents"),
    path(_DOCUMENT, documents.document_page, name="document"),
    path(f"{_DOCUMENT}pdf/", documents.document_pdf, name="document_pdf"),
    path("o/<slug:organisation>/statements/", statements.statement_list, name="statements"),
    path(_STATEMENT, statements.statement_page, name="statement"),
    path(f"{_STATEMENT}pdf/", statements.statement_pdf, name="statement_pdf"),
    path(f"{_STATEMENT}csv/", statements.statement_csv, name="statement_csv"),
    path("o/<slug:organisation>/voucher/", vouchers.redeem, name="redeem_voucher"),
    path("o/<slug:organisation>/top-up/", top_ups.top_up, name="top_up"),
    path("o/<slug:organisation>/top-up/off/", top_ups.switch_off, name="top_up_off"),
    path("o/<slug:organisation>/cards/", top_ups.save_card, name="save_card"),
    path("o/<slug:organisation>/cards/<str:card>/remove/", top_ups.remove_card, name="remove_card"),
    path("sandbox/card/<str:visit>/", sandbox.card_page, name="sandbox_card"),
    path("sandbox/pay/<str:session>/", sandbox.pay_page, name="sandbox_pay"),
    path("sandbox/payments/<str:session>/", sandbox_staff.payment_page, name="sandbox_payment"),
    path("webhooks/payments/<slug:provider>/", webhooks.inbox, name="inbox"),
]
