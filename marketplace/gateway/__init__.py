"""The OpenAI-compatible surface: a plain ASGI application beside Django. Start at ``app``."""
