"""How far apart clocks may be."""

from datetime import timedelta

# Between any two machines that write or look. What differs by less is no difference: a wallet must
# not be frozen for a clock. Times written by one machine in one commit are compared exactly.
CLOCKS_DIFFER = timedelta(minutes=30)


def later_by_any_clock(vendor: str, moment: str) -> str:
    """SQL: so much after ``moment``, a column, as clocks may differ."""
    minutes = CLOCKS_DIFFER // timedelta(minutes=1)
    if vendor == "postgresql":
        return f"({moment} + INTERVAL '{minutes} minutes')"
    # Django writes the microseconds; SQLite's own arithmetic would cut them off.
    return f"(datetime(substr({moment}, 1, 19), '+{minutes} minutes') || substr({moment}, 20))"
