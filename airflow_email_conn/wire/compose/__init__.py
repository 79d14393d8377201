"""A Draft into the bytes of a mail, in pieces.

message      the MIME tree, texts, and the pieces;  letterhead: its header and envelope
recipients   strict parsing of addresses;  fields: encoding and folding of header fields (RFC 2047, 2231)
enclosures   attachments, opened and checked before anything is sent
"""
