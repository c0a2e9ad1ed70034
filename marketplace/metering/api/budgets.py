"""REST of budgets: what may be spent in a period, how it stands, and changing that."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import selectors as accounts
from accounts.api_auth import actor_of
from accounts.api_base import TenantView
from accounts.models import Role, User
from marketplace.metering import selectors
from marketplace.metering import services as metering
from marketplace.metering.models import Budget
from marketplace.metering.serializers import (
    BudgetChangeSerializer,
    BudgetListSerializer,
    BudgetSerializer,
    NewBudgetSerializer,
)
from portal.kernel.clock import utc_now
from portal.kernel.errors import NotFound

BUDGET = {
    "id": "bdg_01kb7z6e5f6g7h8j9k0m1n2p3q",
    "subject": "organisation",
    "member": None,
    "unit": "live",
    "period": "month",
    "max_tokens": "5000000",
    "alert_percentages": [50, 80, 100],
    "spent_tokens": "1204000.5",
    "held_tokens": "1850",
    "starts_at": "2026-10-31T23:00:00Z",
    "ends_at": "2026-11-30T23:00:00Z",
    "created_at": "2026-11-03T10:00:00Z",
    "archived_at": None,
}
SHOWN = [OpenApiExample("A budget", value=BUDGET, response_only=True)]


class BudgetView(TenantView):
    """What all views of budgets share."""

    tags = ["Budgets"]

    @property
    def concerned(self) -> User | None:
        """A member sees what concerns them."""
        own_only = selectors.sees_own_budgets_only(self.membership)
        return self.membership.user if own_only else None

    def find(self, public_id: str) -> Budget:
        """Raises NotFound for another tenant's, or one that this key may not see."""
        found = selectors.get_budget(self.organisation, public_id, member=self.concerned)
        if found.unit not in self.units:
            raise NotFound(_("There is no such budget here."))
        return found

    def require_changer(self) -> None:
        """Budgets bind real spending: owners and billing change them, with a live key."""
        if not self.membership.includes(Role.BILLING):
            raise PermissionDenied(
                _("The maker of this key needs the role “%(role)s” for this.")
                % {"role": Role.BILLING.label},
                code="role_missing",
            )
        self.refuse_test_key()

    def show(self, budget: Budget, status: int = 200) -> Response:
        return Response(_render([budget])[0], status=status)


class BudgetsView(BudgetView):
    """The budgets in force, and new ones."""

    repeatable = ("POST",)
    problems = {"POST": (409,)}

    @extend_schema(
        operation_id="list_budgets",
        summary="List the budgets in force",
        description=(
            "With what is spent and held in the running period. A member's key lists those that "
            "its calls count in, a test key those of test tokens."
        ),
        responses=BudgetListSerializer,
        examples=[OpenApiExample("Budgets", value={"data": [BUDGET]}, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        budgets = selectors.list_budgets(self.organisation, member=self.concerned)
        return Response({"data": _render(list(budgets.filter(unit__in=self.units)))})

    @extend_schema(
        operation_id="create_budget",
        summary="Make a budget",
        description=(
            "In force within three seconds. What was spent in the running period counts; a budget "
            "in total begins with its making. The key's maker needs the role billing."
        ),
        request=NewBudgetSerializer,
        responses={201: BudgetSerializer},
        examples=[
            OpenApiExample(
                "Five million a month for all",
                value={
                    "period": "month",
                    "max_tokens": "5000000",
                    "alert_percentages": [50, 80, 100],
                },
                request_only=True,
            ),
            *SHOWN,
        ],
    )
    def post(self, request: Request) -> Response:
        self.require_changer()
        return self.answer_once(request, lambda key: self._create())

    def _create(self) -> Response:
        wanted = self.read_body(NewBudgetSerializer)
        budget = metering.create_budget(
            organisation=self.organisation,
            member=self._find_member(wanted.pop("member")),
            created_by=self.membership.user,
            actor=actor_of(self.request),
            now=utc_now(),
            **wanted,
        )
        return self.show(budget, status=201)

    def _find_member(self, public_id: str | None) -> User | None:
        if public_id is None:
            return None
        try:
            return accounts.get_member(self.organisation, public_id).user
        except NotFound as missing:
            raise ValidationError({"member": [_("There is no such member here.")]}) from missing


class OneBudgetView(BudgetView):
    """One budget: read, change."""

    problems = {"PATCH": (409,)}

    @extend_schema(
        operation_id="get_budget",
        summary="Get one budget",
        description="Also an archived one.",
        responses=BudgetSerializer,
        examples=SHOWN,
    )
    def get(self, request: Request, budget: str) -> Response:
        return self.show(self.find(budget))

    @extend_schema(
        operation_id="change_budget",
        summary="Change a budget's maximum or alerts",
        description=(
            "In force within three seconds. Below what is spent already, new calls are refused "
            "until it starts anew; calls that run go on with what is held for them."
        ),
        request=BudgetChangeSerializer,
        responses=BudgetSerializer,
        examples=[
            OpenApiExample("Raise it", value={"max_tokens": "8000000"}, request_only=True),
            *SHOWN,
        ],
    )
    def patch(self, request: Request, budget: str) -> Response:
        self.require_changer()
        found = self.find(budget)
        changes: dict[str, Any] = {
            "max_millitokens": found.max_millitokens,
            "alert_percentages": found.alert_percentages,
        }
        changes |= self.read_body(BudgetChangeSerializer, partial=True)
        return self.show(
            metering.change_budget(budget=found, actor=actor_of(request), now=utc_now(), **changes)
        )


class ArchiveBudgetView(BudgetView):
    """The end of a budget."""

    @extend_schema(
        operation_id="archive_budget",
        summary="Archive a budget",
        description="Within three seconds it limits no calls any more. Repeated, nothing more.",
        request=None,
        responses=BudgetSerializer,
        examples=SHOWN,
    )
    def post(self, request: Request, budget: str) -> Response:
        self.require_changer()
        found = self.find(budget)
        return self.show(
            metering.archive_budget(budget=found, actor=actor_of(request), now=utc_now())
        )


def _render(budgets: Sequence[Budget]) -> list[Any]:
    states = selectors.get_budget_states(budgets, now=utc_now())
    rows = [{"budget": budget, "state": states[budget.pk]} for budget in budgets]
    return list(BudgetSerializer(rows, many=True).data)
