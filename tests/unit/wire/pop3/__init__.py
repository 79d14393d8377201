"""POP3 without I/O."""
