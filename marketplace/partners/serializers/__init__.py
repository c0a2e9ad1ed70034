"""How listings, prices, grants, holds and usage look in REST, by topic."""
