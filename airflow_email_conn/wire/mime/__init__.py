"""Any bytes into a Mail.

mail         the Mail itself, and the bytes of its attachments, when all of it is there (parts: their tree)
stream       the same but for the text, while it comes and without holding it
cutter       the one pass that cuts the bytes into parts, for both;  node: a part while it is read
structure    the tree of parts, what is text and what a file;  sizes: how long a file is
transfer     base64 and quoted-printable undone;  uuencode: what was there before them
envelope     who, to whom, when, about what, read with addresses, headers, parameters, words and charsets
"""

from airflow_email_conn.wire.mime.mail import attachment_bytes, attachment_pieces, parse, scan

__all__ = ["attachment_bytes", "attachment_pieces", "parse", "scan"]
