"""What a mail is, what a search asks, what a connection says: frozen values, no I/O."""
