"""Tenants' policies in direct mode: asked when a grant is given and when a hold is placed on it."""

from django.utils.translation import gettext_lazy as _

from accounts.services import AppliedPolicies
from marketplace.catalog import selectors as catalog
from marketplace.catalog.selectors import CallableService
from portal.kernel.errors import Forbidden


class PolicyViolation(Forbidden):
    """The policy of the tenant or of its key does not allow this service."""

    code = "policy_violation"


def refuse_forbidden(service: CallableService, policies: AppliedPolicies) -> None:
    """Raises PolicyViolation naming the rule."""
    broken = catalog.find_broken_rule(service, policies)
    if broken is not None:
        raise PolicyViolation(
            _("The tenant's policy does not allow this service (%(rule)s).")
            % {"rule": broken.words}
        )
