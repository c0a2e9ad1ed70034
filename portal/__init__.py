"""The composition root: settings, routes, processes and the pages that cross rooms."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
