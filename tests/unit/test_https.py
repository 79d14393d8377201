"""Requests over https without a server: which hosts may be asked, and who is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from airflow_email_conn.errors import ConnectError, SettingsError
from airflow_email_conn.https import HttpsClient
from airflow_email_conn.trust import Trust

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


@pytest.mark.parametrize(
    "url", ["https://xn--bcher-kva.example.test:1/", "https://XN--BCHER-KVA.example.test/x"]
)
def test_hosts_are_compared_as_they_are_asked_for(url: str) -> None:
    """In ASCII, as allowed_hosts and certificates spell them, and in messages too."""
    seen: list[str] = []
    with (
        HttpsClient(Trust(), 1, lambda host: bool(seen.append(host))) as http,
        pytest.raises(SettingsError, match=r"xn--bcher-kva\.example\.test: .*allowed_hosts"),
    ):
        http.get(url)
    assert seen == ["xn--bcher-kva.example.test"]


def _trusted(context: ssl.SSLContext) -> set[object]:
    return {each["serialNumber"] for each in context.get_ca_certs()}


@pytest.mark.parametrize("as_file", [True, False])
def test_the_system_store_is_trusted_beside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, as_file: bool
) -> None:
    """For an authority; for a mail server ca_certificates stands in its place."""
    system, own = trustme.CA(), trustme.CA()
    system.cert_pem.write_to_path(str(tmp_path / "system.pem"))
    own.cert_pem.write_to_path(str(tmp_path / "own.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    given = str(tmp_path / "own.pem") if as_file else own.cert_pem.bytes().decode()
    trust = Trust(ca_certificates=given)
    assert len(_trusted(trust.context())) == 1
    assert len(_trusted(trust.context_for_https())) == 2
    assert _trusted(trust.context()) < _trusted(trust.context_for_https())


def test_only_our_requests_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log of httpx has addresses in full; what others in this process ask for stays in it."""
    caplog.set_level("DEBUG")
    with HttpsClient(Trust(), 5, lambda _: True) as http, pytest.raises(ConnectError):
        http.get("https://127.0.0.1:1/secret")
    assert "httpcore" not in {record.name.partition(".")[0] for record in caplog.records}
    with httpx.Client() as other, pytest.raises(httpx.ConnectError):
        other.get("http://127.0.0.1:1/")
    assert "httpcore.connection" in {record.name for record in caplog.records}
