"""REST of billing for tenants, by topic: what pages offer there, programs can do here."""
