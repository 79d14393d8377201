"""What is particular about Microsoft 365, on the fake server; what every mailbox does is in the contract."""
