"""The client certificate of an application: the private key and the certificates of one PEM text."""

from __future__ import annotations

from airflow_email_conn.errors import SettingsError

__all__ = ["checked_parts"]


def checked_parts(pem: str, password: str) -> tuple[str, str]:
    """The private key and the certificates as MSAL takes them, both as PEM; nothing of them is shown.

    MSAL itself finds out late what is wrong with them, and says it in too many ways.

    :param password: of the private key; empty when it is not encrypted.
    :raises SettingsError: one of them cannot be read, or they do not belong together.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only certificates need it
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - as above
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - as above

    private_key, certificates = _parts(pem)
    try:
        key = load_pem_private_key(private_key.encode(), password.encode() or None)
    except TypeError:  # so says cryptography of a password that is missing, or one too many
        mend = "is for a key that is encrypted: clear it" if password else "enter it: the key is encrypted"
        raise SettingsError(f"client_certificate_password: {mend}") from None
    except (ValueError, UnsupportedAlgorithm):
        mend = ", or client_certificate_password is wrong" if password else ": paste it anew"
        raise SettingsError(f"client_certificate_private_key: the private key cannot be read{mend}") from None
    if not isinstance(key, RSAPrivateKey):  # MSAL signs by RSA alone
        raise SettingsError("client_certificate_private_key: the private key is not RSA; make one that is")
    try:
        certified = load_pem_x509_certificate(certificates.encode()).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(
            "client_certificate_private_key: the certificate cannot be read: paste it anew"
        ) from None
    if certified != key.public_key():
        raise SettingsError(
            "client_certificate_private_key: the first certificate is not the private key's: paste a pair"
        )
    return private_key, certificates


def _parts(pem: str) -> tuple[str, str]:
    blocks = [f"-----BEGIN {block}" for block in pem.replace("\r\n", "\n").split("-----BEGIN ")[1:]]
    keys = [block for block in blocks if "PRIVATE KEY-----" in block.partition("\n")[0]]
    certificates = [block for block in blocks if block.startswith("-----BEGIN CERTIFICATE-----")]
    return "".join(keys[:1]), "".join(certificates)
