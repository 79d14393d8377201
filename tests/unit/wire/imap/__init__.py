"""IMAP without I/O."""
