"""Routes of requests and their receipts."""

from django.urls import path

from marketplace.metering import views

app_name = "metering"

urlpatterns = [
    path("o/<slug:organisation>/requests/", views.request_list, name="requests"),
    path("o/<slug:organisation>/requests.csv", views.requests_csv, name="requests_csv"),
    path("o/<slug:organisation>/requests/<str:call>/", views.request_detail, name="request"),
]
