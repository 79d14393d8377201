"""POP3 without I/O (RFC 1939).

engine       bytes into answers and bodies;  unstuffing: where a body ends, and its dots
commands     made only here;  listing: the answers to CAPA, LIST and UIDL
identity     a mail's id where the server gives none;  received: when a server took a mail in
servers      what refusals mean
"""
