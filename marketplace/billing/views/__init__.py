"""Pages of packs, orders and documents, the sandbox's pay page, and the door for webhooks."""
