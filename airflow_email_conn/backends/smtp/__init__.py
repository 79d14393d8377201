"""SMTP: `session` is one signed-in connection, `sender` the Sender on it."""
