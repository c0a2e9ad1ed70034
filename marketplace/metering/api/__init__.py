"""REST of metering."""
