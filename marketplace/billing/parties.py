"""Who sells and who buys, as documents keep them: plain texts, as they are today."""

from django.conf import settings

from accounts.models import Organisation


def describe_seller() -> dict[str, str]:
    """Ourselves, by the settings."""
    return {
        "name": settings.SITE_NAME,
        "legal_name": settings.SELLER_NAME,
        "address": settings.SELLER_ADDRESS,
        "country": settings.SELLER_COUNTRY,
        "tax_id": settings.SELLER_TAX_ID,
        "email": settings.SELLER_EMAIL,
    }


def describe_buyer(organisation: Organisation) -> dict[str, str]:
    """The organisation, by its own settings."""
    return {
        "name": organisation.name,
        "legal_name": organisation.legal_name,
        "address": organisation.address,
        "country": organisation.country,
        "tax_id": organisation.tax_id,
        "email": organisation.billing_email,
    }
