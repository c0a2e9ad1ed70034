"""Stripe behind the PaymentProvider interface: its hosted Checkout page, nothing else of it.

``adapter`` is the door, ``client`` the connection and its errors, ``sessions`` turns orders into
parameters and answers into our words, ``reversing`` does so with refunds and disputes, ``events``
verifies webhooks. No other module imports
the SDK, and no object of it leaves this package.
"""
