"""POP3: session (one connection), maildrop (what lies there), downloads, search, mailbox (the protocol)."""
