"""OAuth from the settings of a connection to a mailbox: real authority, real mail servers."""
