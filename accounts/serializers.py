"""How an organisation looks in REST."""

from rest_framework import serializers


class OrganisationSerializer(serializers.Serializer):
    """The organisation of the calling key."""

    id = serializers.CharField(source="public_id", help_text="`org_…`")
    name = serializers.CharField()
    slug = serializers.CharField(help_text="The organisation's address in the portal.")
    legal_name = serializers.CharField()
    address = serializers.CharField(help_text="For invoices; may have several lines.")
    tax_id = serializers.CharField()
    country = serializers.CharField(help_text="ISO 3166-1 alpha-2; empty when not given.")
    timezone = serializers.CharField(help_text="IANA name; days and caps are counted in it.")
    verified_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
