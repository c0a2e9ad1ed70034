"""Forms of providers' pages."""

from marketplace.partners.forms.keys import ProviderKeyForm
from marketplace.partners.forms.listings import ListingForm, NewListingForm, PriceForm
from marketplace.partners.forms.profile import ProfileForm

__all__ = ["ListingForm", "NewListingForm", "PriceForm", "ProfileForm", "ProviderKeyForm"]
