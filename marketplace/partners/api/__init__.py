"""REST for providers (/api/provider/v1/) and, for tenants, the grants of direct mode."""
