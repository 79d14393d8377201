"""Any bytes into a Mail.

mail         the Mail itself, and the bytes of its attachments;  parts: the one pass that cuts it;
structure    the tree of parts, what is text and what a file;  transfer: base64 and quoted-printable undone
envelope     who, to whom, when, about what, read with addresses, headers, parameters, words and charsets
"""

from airflow_email_conn.wire.mime.mail import attachment_bytes, attachment_pieces, parse, scan

__all__ = ["attachment_bytes", "attachment_pieces", "parse", "scan"]
