"""Pages of packs, orders and receipts, the sandbox's pay page, and the door for webhooks."""
