"""Providers' pages, under /p/<provider>/, and the page that makes a company a provider."""
