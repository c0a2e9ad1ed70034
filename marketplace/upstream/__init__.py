"""The only door to providers' endpoints: requests shaped and bounded, answers distrusted."""
