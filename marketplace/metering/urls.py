"""Routes of requests with their receipts, and of budgets."""

from django.urls import path

from marketplace.metering.views import budgets, requests

app_name = "metering"

_BUDGETS = "o/<slug:organisation>/budgets/"

urlpatterns = [
    path("o/<slug:organisation>/requests/", requests.request_list, name="requests"),
    path("o/<slug:organisation>/requests.csv", requests.requests_csv, name="requests_csv"),
    path("o/<slug:organisation>/requests/<str:call>/", requests.request_detail, name="request"),
    path(_BUDGETS, budgets.budget_list, name="budgets"),
    path(f"{_BUDGETS}new/", budgets.create_budget, name="create_budget"),
    path(f"{_BUDGETS}<str:budget>/", budgets.change_budget, name="budget"),
    path(f"{_BUDGETS}<str:budget>/archive/", budgets.archive_budget, name="archive_budget"),
]
