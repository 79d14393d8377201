"""EmailSignInOperator in a whole Airflow, at a real authority: a person answers in the UI's API."""

from __future__ import annotations

import json
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet

from tests.airflow.leaks import leaks
from tests.airflow.oauth import oauth_form
from tests.airflow.test_secrets import written

if TYPE_CHECKING:
    from tests.airflow.stage import Stage
    from tests.servers.authority import Authority
    from tests.servers.bed import Bed

ALICE = "alice@example.test"
pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]  # a whole Airflow, and codes that run out

CONN = "mail_person"


@dataclass(frozen=True)
class Run:
    """A run of the DAG sign_in."""

    stage: Stage
    run_id: str

    @property
    def path(self) -> str:
        """Of its task instances."""
        return f"dags/sign_in/dagRuns/{quote(self.run_id, safe='')}/taskInstances"

    def wait_for(self, state: str, seconds: float = 60) -> None:
        """Wait until the task sign_in is in a state."""
        end = time.monotonic() + seconds
        while (now := self.stage.airflow.api("GET", f"{self.path}/sign_in")["state"]) != state:
            assert time.monotonic() < end, f"it is {now}: {self.log()}"
            time.sleep(0.3)

    def action(self) -> dict[str, Any]:
        """The required action."""
        found: dict[str, Any] = self.stage.airflow.api("GET", f"{self.path}/sign_in/-1/hitlDetails")
        return found

    def answer(self) -> None:
        """Press the button."""
        body = {"chosen_options": ["I have signed in"], "params_input": {}}
        self.stage.airflow.api("PATCH", f"{self.path}/sign_in/-1/hitlDetails", body)

    def log(self) -> str:
        """What the task wrote."""
        return json.dumps(self.stage.airflow.api("GET", f"{self.path}/sign_in/logs/1?full_content=true"))


@pytest.fixture(scope="module")
def airflow(stage: Stage, bed: Bed, authority_server: Authority) -> Stage:
    """It has the connection, and knows the DAG."""
    bed.empty(ALICE)
    form = oauth_form(bed, authority_server, ALICE, kind="device_flow")
    stage.airflow.connect(CONN, form)
    stage.airflow.wait_for_dags("sign_in")
    return stage


@pytest.fixture(scope="module")
def kept() -> set[str]:
    """The device codes and tokens that were seen in the store."""
    return set()


def secrets_in(stage: Stage) -> set[str]:
    """What is secret in the Variables now."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "variables.json"
        stage.airflow.commands(("variables", "export", str(file)))
        exported = json.loads(file.read_text(encoding="utf-8"))
    # With a description a Variable is exported as an object.
    variables = {key: each["value"] if isinstance(each, dict) else each for key, each in exported.items()}
    cipher = Fernet(variables["email_conn__token_key"])
    records = [value for key, value in variables.items() if key.startswith("email_conn__sign_in__")]
    texts = [cipher.decrypt(record).decode() for record in records]
    pattern = r'"(?:access_token|refresh_token|device_code)": "([^"]+)"'
    return {secret for text in texts for secret in re.findall(pattern, text)}


def started(stage: Stage, **conf: Any) -> Run:
    """A new run."""
    return Run(stage, stage.airflow.trigger("sign_in", conn_id=CONN, **conf))


def code_of(run: Run) -> str:
    """The code that the person is shown."""
    found = re.search(r"The code is\s+`([^`]+)`", run.action()["body"])
    assert found, run.action()
    return found[1]


def test_sign_in(airflow: Stage, authority: Authority, kept: set[str]) -> None:
    """The person answers too early, then signs in; two more tasks and a triggerer use the mailbox."""
    first = started(airflow)
    first.wait_for("awaiting_input")
    assert f"sign in as someone who may use the mailbox **{ALICE}**" in first.action()["body"]
    assert f"<https://localhost:{authority.port}/" in first.action()["body"]
    assert first.action()["subject"] == f"Sign in to {ALICE} (connection {CONN})"
    kept |= secrets_in(airflow)
    first.answer()
    first.wait_for("running")
    authority.approve(code_of(first), ALICE)
    assert airflow.airflow.wait_for_run("sign_in", first.run_id) == "success", first.log()
    assert f"Signed in to {ALICE}: {ALICE}" in first.log()
    value = airflow.airflow.api("GET", f"{first.path}/sign_in/xcomEntries/return_value")["value"]
    assert value == {ALICE: ALICE}
    again = started(airflow)
    assert airflow.airflow.wait_for_run("sign_in", again.run_id) == "success", again.log()
    assert "nothing to do" in again.log()
    assert authority.counts().device_authorization == 1


def test_declined(airflow: Stage, authority: Authority) -> None:
    """It fails for good, says why, and the sign-in before is still used."""
    run = started(airflow, force=True)
    run.wait_for("awaiting_input")
    authority.deny(code_of(run))
    run.answer()
    run.wait_for("failed")
    assert "declined" in run.log()


def test_nobody_came(airflow: Stage, authority: Authority) -> None:
    """The code has ended."""
    authority.ttl(device=32)
    run = started(airflow, force=True)
    run.wait_for("failed")
    assert "nobody has signed in to" in run.log()


def test_signed_in_without_a_word(airflow: Stage, authority: Authority) -> None:
    """Nobody pressed the button: it asks before the code ends nevertheless."""
    authority.ttl(device=40)
    run = started(airflow, force=True)
    run.wait_for("awaiting_input")
    authority.approve(code_of(run), ALICE)
    assert airflow.airflow.wait_for_run("sign_in", run.run_id) == "success", run.log()


def test_no_device_code_or_token_shows(airflow: Stage, kept: set[str]) -> None:
    """Neither in what Airflow printed and logged, nor in its database, where Variables are encrypted."""
    kept |= secrets_in(airflow)
    assert len(kept) >= 2  # an access token and a refresh token; a device code, where one was seen
    texts = written(airflow.airflow.home)
    assert b"Signed in to" in b"".join(texts.values())
    named = {f"secret {number}": secret for number, secret in enumerate(sorted(kept))}
    assert not {name: found for name, text in texts.items() if (found := leaks(text, named))}
