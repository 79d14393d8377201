"""SMTP without I/O: `protocol` (replies, extensions, commands), `refusals` (what servers mean)."""
