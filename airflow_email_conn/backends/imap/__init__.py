"""IMAP: `session` is one signed-in connection, `mailbox` the Mailbox on it."""
