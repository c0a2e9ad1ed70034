"""How the addresses of `/v1` ask providers and word their answers; begin at `interface`."""
