"""Its own module, since Django reads it before there are models."""

from django.contrib.admin.apps import AdminConfig


class TwoFactorAdminConfig(AdminConfig):
    """Stands in INSTALLED_APPS for django.contrib.admin."""

    default_site = "accounts.admin_site.TwoFactorAdminSite"
