"""Forms of accounts, by topic."""
