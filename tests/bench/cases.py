"""All cases, and what is promised in them."""

from __future__ import annotations

from typing import Final

from tests.bench.case import FLOOR, Case, Target

__all__ = ["CASES"]

_FIND: Final = {
    "ours: search, save_many": "by_us:find_reports",
    "ours: FetchEmailOperator": "by_operator:find_reports",
    "ImapHook, FROM as raw search": "by_provider:find_reports",
    "imap_tools, bulk": "by_imap_tools:find_reports",
    "IMAPClient, parts": "by_imapclient:find_reports",
}
_FOUND: Final = "ours: search, save_many"

CASES: Final = {
    "find": Case(
        "60 CSV attachments of one sender out of 10,000 mails",
        "imap",
        _FIND,
        targets=(Target(_FOUND, "wall", 2, FLOOR), Target(_FOUND, "bytes", 1.3, FLOOR)),
        floor="find_reports",
        rounds=5,
    ),
    "far": Case(
        "60 CSV attachments of one sender out of 10,000 mails, at 20 ms of round-trip time",
        "imap",
        _FIND,
        targets=(Target(_FOUND, "wall", 2, FLOOR),),
        floor="find_reports",
        delay=0.01,
    ),
    "beside": Case(
        "30 CSVs of 3 kB beside PDFs of 5 MB, in 300 mails",
        "imap",
        _FIND,
        targets=(Target(_FOUND, "bytes", 1.3, FLOOR),),
        floor="find_reports",
        folder="Pdf",
    ),
    "list": Case(
        "List 10,000 mails; ours, the floor and IMAPClient with their attachments",
        "imap",
        {
            "ours: search": "by_us:list_all",
            "imap_tools, headers only, one bulk": "by_imap_tools:list_all_at_once",
            "imap_tools, headers only, bulks of 500": "by_imap_tools:list_all_in_bulks",
            "IMAPClient, ENVELOPE, BODYSTRUCTURE": "by_imapclient:list_all",
        },
        targets=(
            Target("ours: search", "wall", 1, "imap_tools, headers only, one bulk"),
            Target("ours: search", "wall", 1, "imap_tools, headers only, bulks of 500"),
        ),
        floor="list_all",
    ),
    "read": Case(
        "Fetch and parse 10,000 whole mails",
        "imap",
        {
            "ours: search, fetch_many": "by_us:find_and_read_all",
            "ours: fetch_many": "by_us:read_all",
            "ImapHook, no such attachment": "by_provider:read_all",
            "imap_tools, one bulk": "by_imap_tools:read_all_at_once",
            "imap_tools, bulks of 500": "by_imap_tools:read_all_in_bulks",
        },
        targets=(
            Target("ours: search, fetch_many", "wall", 1, "imap_tools, one bulk"),
            Target("ours: search, fetch_many", "wall", 1, "imap_tools, bulks of 500"),
            Target("ours: search, fetch_many", "peak", 12),
        ),
        floor="read_all",
    ),
    "save": Case(
        "One attachment of 100 MB to a file, IMAP",
        "imap",
        {
            "ours: save": "by_us:save_large",
            "ours: search, save": "by_us:find_large",
            "ImapHook": "by_provider:save_large",
            "imap_tools": "by_imap_tools:save_large",
            "IMAPClient, the part": "by_imapclient:save_large",
        },
        targets=(Target("ours: save", "wall", 1.6, FLOOR), Target("ours: save", "peak", 12)),
        floor="save_large",
        mailbox="large",
        decodes=True,
    ),
    "save-pop3": Case(
        "One attachment of 100 MB to a file, POP3",
        "pop3",
        {
            "ours: save": "by_us:save_large_pop3",
            "ours: search, save": "by_us:find_large_pop3",
            "poplib, email": "by_stdlib:save_large",
        },
        targets=(Target("ours: save", "wall", 1.6, FLOOR), Target("ours: save", "peak", 12)),
        floor="save_large_pop3",
        mailbox="large",
        decodes=True,
    ),
    "connect": Case(
        "100 connections over TLS, signed in",
        "imaps",
        {
            "ours, one SSLContext": "by_us:connect_often",
            "ImapHook": "by_provider:connect_often",
            "imap_tools, a context each": "by_imap_tools:connect_often",
        },
        targets=(Target("ours, one SSLContext", "cpu", 0.25, "ImapHook"),),
    ),
    "import": Case(
        "Import on top of airflow.sdk",
        "",
        {
            "ours: hooks.mail": "imports:ours",
            "airflow.providers.imap.hooks.imap": "imports:official",
            "nothing": "imports:nothing",
        },
        targets=(Target("ours: hooks.mail", "cpu", 0.02),),
        rounds=5,
    ),
    "send": Case(
        "Send an attachment of 30 MB",
        "smtp",
        {"ours: send": "by_us:send_large", "EmailMessage, smtplib": "by_stdlib:send_large"},
    ),
}
