"""Payment by bank transfer behind the payment interface: our account, references, the adapter."""
