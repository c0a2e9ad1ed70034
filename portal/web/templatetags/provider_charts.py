"""A provider's earnings as a chart, from the report that the earnings page shows as a table."""

from django import template
from django.utils.translation import gettext

from marketplace.metering.selectors import EarningsReport
from portal.web.charts import DailyBars, Quantity, Series

register = template.Library()


@register.simple_tag
def build_earnings_chart(report: EarningsReport) -> DailyBars:
    """For ``{% daily_bars %}``: a series per service that earned; the last day still runs."""
    return DailyBars(
        id="earned",
        title=gettext("Earned by day and service"),
        days=report.days,
        series=[
            Series(key=service.key, label=service.label, values=service.share_by_day)
            for service in report.services
            if service.sums.share_millitokens
        ],
        quantity=Quantity.TOKENS,
        partial_last_day=True,
    )
