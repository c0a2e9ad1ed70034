"""`POST /v1/responses`, without state: asked of providers as chat, answered as a Response."""
