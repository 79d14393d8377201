"""Any bytes into a Mail."""
