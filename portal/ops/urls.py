"""Routes of the operator's console."""

from django.urls import path

from portal.ops import (
    books,
    debts,
    fapiao,
    home,
    reconciliation,
    refunds,
    reviews,
    transfers,
    vouchers,
)

app_name = "ops"

urlpatterns = [
    path("ops/", home.home, name="home"),
    path("ops/reviews/", reviews.review_list, name="reviews"),
    path("ops/reviews/<str:review>/", reviews.review_detail, name="review"),
    path("ops/refunds/", refunds.refund_list, name="refunds"),
    path("ops/refunds/<str:refund>/", refunds.refund_detail, name="refund"),
    path("ops/reconciliation/", reconciliation.findings, name="findings"),
    path("ops/reconciliation/run/", reconciliation.run_now, name="run_now"),
    path("ops/reconciliation/runs/", reconciliation.runs, name="runs"),
    path("ops/reconciliation/runs/<str:run>/", reconciliation.run_detail, name="run"),
    path("ops/reconciliation/findings/<str:finding>/", reconciliation.finding, name="finding"),
    path("ops/fapiao/", fapiao.fapiao_list, name="fapiao_list"),
    path("ops/fapiao/<str:fapiao>/", fapiao.fapiao_detail, name="fapiao"),
    path("ops/debts/", debts.debt_list, name="debts"),
    path("ops/debts/<str:debtor>/", debts.debt_detail, name="debt"),
    path("ops/transfers/", transfers.transfer_list, name="transfers"),
    path("ops/transfers/<str:transfer>/", transfers.transfer_detail, name="transfer"),
    path("ops/transfers/<str:transfer>/unmatch/", transfers.unmatch, name="unmatch"),
    path("ops/paybacks/<str:payback>/", transfers.record_payback, name="record_payback"),
    path("ops/vouchers/", vouchers.voucher_list, name="vouchers"),
    path("ops/vouchers/<str:batch>/withdraw/", vouchers.withdraw, name="withdraw_vouchers"),
    path("ops/wallets/<int:wallet>/", books.wallet, name="wallet"),
    path("ops/transactions/<str:transaction>/", books.transaction, name="transaction"),
    path("ops/calls/<str:call>/", books.call, name="call"),
    path("ops/orders/<str:order>/", books.order, name="order"),
]
