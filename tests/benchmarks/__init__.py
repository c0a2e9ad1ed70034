"""``make bench``: measures, prints ratios, and writes nothing that outlives it."""
