"""The Celery application: tasks only wake work up; the work itself is a row in the database."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("tokenworks")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
