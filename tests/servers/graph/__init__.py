"""A fake Microsoft Graph: the part for mail, over https, with mailboxes of its own.

No real Graph can be asked from tests. What the fake does is a table (``behaviours``) whose entries say where
each is written down, and can be taken out one by one.

===============  =====================================================================================
module           what it is
===============  =====================================================================================
``server``       ``running_graph()`` and ``GraphServer``: what tests use
``behaviours``   ``Behaviour``: what the fake does as Graph does, with sources
``faults``       ``Fault``: what goes wrong on demand
``site``         the state of all: mailboxes, tokens, what came
``mailbox``      one mailbox and its log of changes; ``items``, ``mime``, ``blobs`` are its parts
``app``          from bytes to a handler and back; ``routes`` has the table of handlers
``folders`` ...  the handlers: ``messages``, ``attachments``, ``delta``, ``sending``, ``uploads``
``pages``        lists, their order and pages; ``odata`` reads ``$filter``, ``projection`` writes JSON
``validation``   requests and answers against ``schema.json``
===============  =====================================================================================
"""
