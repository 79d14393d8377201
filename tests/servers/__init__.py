"""Mail servers for the tests, all of them on loopback.

==================  ==================================================================================
module              what it gives
==================  ==================================================================================
``base``            ``MailServers``: what the suites may ask of any servers; ``MailboxServers``, the IMAP half
``bed``             ``running_bed()``: real Dovecot, Postfix, Cyrus from a throw-away folder (root on Debian)
``embedded``        ``running_embedded()``: pymap and aiosmtpd in this process (pip only)
``graph``           ``running_graph()``: a fake Microsoft Graph in this process, over https
``faultproxy``      ``FaultProxy``: a TCP proxy that cuts, stalls, slows and corrupts
``scripted``        ``ScriptedServer``: a server that says what a test tells it to say
==================  ==================================================================================

The other modules are the parts that these are made of.
"""
