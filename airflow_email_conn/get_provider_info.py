"""What Airflow reads of this package when it starts: the connection's form and the options of airflow.cfg.

Every Airflow process calls it, so it imports neither Airflow nor a hook; the form is `model.fields` rendered.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

from airflow_email_conn.model.fields import FIELDS, Field

__all__ = ["get_provider_info"]

_PACKAGE: Final = "airflow-email-conn"

# JSON schema of each kind, as Airflow's form understands it. With `null` in the type a field may stay empty.
_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": ["string", "null"]},
    "choice": {"type": ["string", "null"]},
    "secret": {"type": ["string", "null"], "format": "password"},
    "pem": {"type": ["string", "null"], "format": "multiline"},
    "integer": {"type": ["integer", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "list": {"type": ["array", "null"], "items": {"type": "string"}},
    "seconds": {"type": ["number", "null"], "minimum": 1, "maximum": 3600},
}


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata (provider_info.schema.json of Airflow)."""
    return {
        "package-name": _PACKAGE,
        "name": "Email connection",
        "description": "One connection for a whole mailbox: IMAP, POP3, SMTP and Microsoft 365.",
        "versions": [_version()],
        "connection-types": [
            {
                "connection-type": "email",
                "hook-class-name": "airflow_email_conn.hooks.mail.EmailHook",
                "hook-name": "Email",
                "ui-field-behaviour": _standard_fields(),
                "conn-fields": {field.key: _conn_field(field) for field in FIELDS if field.extra},
            }
        ],
        "notifications": ["airflow_email_conn.notifications.mail.EmailNotifier"],
        "cli": ["airflow_email_conn.cli.commands.get_commands"],
        "email-backends": ["airflow_email_conn.notifications.mail.send_email"],
        "config": _config(),
    }


def _version() -> str:
    try:
        return metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return "0"


def _standard_fields() -> dict[str, Any]:
    """How the form shows Airflow's own fields: its own two keep their names, `schema` has no meaning here."""
    ours = [field for field in FIELDS if not field.extra and field.applies != "none"]
    return {
        "hidden-fields": ["schema"],
        "relabeling": {field.key: field.label for field in ours},
        "placeholders": {field.key: field.placeholder for field in ours if field.placeholder},
    }


def _conn_field(field: Field) -> dict[str, Any]:
    """One field of the form. Fields without a section would land under "Extra Fields": each has one."""
    schema = {**_SCHEMAS[field.kind], "section": field.section}
    if field.default is not None:
        schema["default"] = field.default
    if field.choices:
        schema["enum"] = [value for value, _ in field.choices]
        schema["values_display"] = dict(field.choices)
    schema["description_md"] = field.help  # shown as Markdown, and only where there is no `description`
    return {"label": field.label, "schema": schema}


def _config() -> dict[str, Any]:
    """The section of airflow.cfg. Its defaults stand in `hooks.connection` too, for when it is not loaded."""
    return {
        "email_conn": {
            "description": "What connections of type email may do.",
            "options": {
                "macro_names": {
                    "description": (
                        "Globs, separated by commas, of environment variables that ${...} macros may use,"
                        " though their names start with AIRFLOW_ or contain SECRET, PASSWORD, PASSWD, TOKEN,"
                        " KEY, CREDENTIAL or CONN. Whoever may edit a connection can send their values to a"
                        " host of their choice.\n"
                    ),
                    "version_added": "0.1.0",
                    "type": "string",
                    "example": "MAIL_CONN_*",
                    "default": "",
                },
                "allowed_hosts": {
                    "description": (
                        "Globs, separated by commas, of the hosts that connections may use: servers, OAuth"
                        " authorities and Microsoft Graph. Empty: none.\n"
                    ),
                    "version_added": "0.1.0",
                    "type": "string",
                    "example": "*.example.com, login.microsoftonline.com, graph.microsoft.com",
                    "default": "*",
                },
                "token_store": {
                    "description": (
                        "Class in which the tokens of OAuth sign-ins rest. All processes that use a mailbox"
                        " must reach the same store: airflow_email_conn.token_store.FileTokenStore is for one"
                        " machine, or a shared file system.\n"
                    ),
                    "version_added": "0.1.0",
                    "type": "string",
                    "example": "airflow_email_conn.token_store.FileTokenStore",
                    "default": "airflow_email_conn.hooks.tokens.VariableTokenStore",
                },
                "token_store_kwargs": {
                    "description": "Arguments of that class, as a JSON object.\n",
                    "version_added": "0.1.0",
                    "type": "string",
                    "sensitive": True,
                    "example": '{"directory": "/secure/email-tokens"}',
                    "default": "",
                },
            },
        }
    }
