"""What `load_demo` puts into an empty database: people, providers, models, prices, packs."""
