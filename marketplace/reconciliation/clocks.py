"""How far apart clocks may be."""

from datetime import timedelta

# Between any two machines that write or look. What differs by less is no difference: a wallet must
# not be frozen for a clock. Times written by one machine in one commit are compared exactly.
CLOCKS_DIFFER = timedelta(minutes=30)
