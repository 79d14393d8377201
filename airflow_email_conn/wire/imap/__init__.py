"""IMAP4rev1 (RFC 3501) and the extensions in use, without I/O: bytes in, events out; commands out as bytes.

engine      splits the byte stream into events, holds back literals until the server asks for them
grammar     one response's text into nested values
commands    typed functions that make commands and refuse NUL, CR and LF
answers     what untagged answers say: folders, found UIDs, capabilities, where copies went
fetch       one FETCH answer into a MailSummary;  bodystructure: its tree of parts
search      a MailQuery in IMAP's words
sets        sets of UIDs;  utf7: folder names
"""
