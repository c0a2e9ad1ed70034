"""Charts drawn on the server: plain data in (``data``), geometry out (``bars``, ``lines``).

They work without JavaScript, print, follow the theme and need no inline style. Positions along
time are percentages and heights are pixels, so nothing is stretched and labels keep their size
at every width.
"""

from portal.web.charts.data import DailyBars, LatencyLines, Quantity, Series

__all__ = ["DailyBars", "LatencyLines", "Quantity", "Series"]
