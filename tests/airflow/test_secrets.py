"""No secret shows: a whole deployment does everything there is, and all that it wrote is searched."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.airflow.hostile import VARIABLE, VENDOR, endangered
from tests.airflow.leaks import ProcessList, forms, leaks, pieces
from tests.airflow.stage import ROBOT, SECRETS
from tests.contract.mails import invoice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_email_conn.model.message import Mail
    from tests.airflow.hostile import Endangered
    from tests.airflow.stage import Stage

DAGS = ("everything", "refused")
#: Connections of the official providers, with a secret in each place that they have.
OFFICIAL: dict[str, dict[str, Any]] = {
    f"official_{conn_type}": {
        "conn_type": conn_type,
        "host": "localhost",
        "login": ROBOT,
        "password": f"Zq7-official-{conn_type}-pw",
        "extra": {"client_id": "some-client", "client_secret": f"Zq7-official-{conn_type}-secret"},
    }
    for conn_type in ("imap", "smtp")
}
#: What is compared: the secrets in the extra, by connection.
SIDE_BY_SIDE = {
    "official_imap": ("client_secret",),
    "official_smtp": ("client_secret",),
    "mail_two": ("outgoing_secret",),
    "mail_certificate": ("client_certificate_private_key", "client_certificate_password"),
    "mail_client": (),
}
#: Commands that show secrets of all connection types, or some of them, by Airflow's design.
SHOWING = {
    "export .json",
    "export .env",
    "list --show-values",
    "list --hide-sensitive",
    *(f"get {conn_id}" for conn_id in SIDE_BY_SIDE),
}
KEY = """-----BEGIN PRIVATE KEY-----
TUlJRXZRSUJBREFOQmdrcWhr
aUc5dzBCQVFFRkFBU0NCS2N3
-----END PRIVATE KEY-----
"""
#: What the task `blurt` raises.
BLURTED = re.compile(rb"blurted<<.*?>>")
SUBJECTS = {
    "By EmailOperator",
    "By SmtpHook",
    "By send_email",
    "Airflow: DAG everything missed a deadline",
    "Airflow: DAG everything succeeded",
    "Airflow: Task everything.by_hand succeeded (try 1 of 1)",
    "Airflow: Task refused.closing failed and will be tried again (try 1 of 2)",
    "Airflow: Task refused.tell failed (try 1 of 1)",
    "Airflow alert: refused.tell",
    "Airflow: Task refused.blurt failed (try 1 of 1)",
    "Refused",
}


@dataclass(frozen=True)
class Traces:
    """What the deployment left behind.

    :param printed: by the commands that show secrets of all connection types, by their name.
    :param told: by the API about connections, by method and id.
    :param texts: everything else, by the name of where it was found.
    """

    danger: Endangered
    printed: dict[str, str]
    told: dict[str, Any]
    texts: dict[str, bytes]


@pytest.fixture(scope="module")
def traces(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traces]:
    """Everything driven, and all that came of it."""
    airflow = stage.airflow
    with endangered(stage) as danger, ProcessList() as processes:
        airflow.api("POST", "variables", {"key": VARIABLE, "value": SECRETS[VENDOR]})
        for conn_id, form in {**danger.forms, **OFFICIAL}.items():
            airflow.connect(conn_id, form)
        for user in (ROBOT, VENDOR):
            stage.servers.append(user, invoice())
        airflow.wait_for_dags(*DAGS)
        runs = {dag_id: airflow.trigger(dag_id) for dag_id in DAGS}
        told = by_api(stage, danger)
        printed = by_commands(stage, tmp_path_factory.mktemp("export"))
        states = {dag_id: airflow.wait_for_run(dag_id, run_id) for dag_id, run_id in runs.items()}
        mails = stage.wait_for_mail(came)
        of_both = of_runs(stage, runs)
    assert states == {"everything": "success", "refused": "failed"}
    quiet = {name: printed.pop(name) for name in list(printed) if name not in SHOWING}
    sent = {f"mail {number}: {mail.subject}": mail.as_dict() for number, mail in enumerate(mails)}
    texts = {name: text.encode() for name, text in {**quiet, **in_json({**told, **of_both, **sent})}.items()}
    texts["process list"] = b"\n".join(sorted(processes.seen))
    yield Traces(danger, printed, told, {**texts, **written(airflow.home)})
    stage.servers.empty(ROBOT)


def written(home: Path) -> dict[str, bytes]:
    """All files below AIRFLOW_HOME (logs, outputs, configuration, what the DAGs wrote) and the database."""
    files = filter(Path.is_file, home.rglob("*"))
    found = {str(path.relative_to(home)): path.read_bytes() for path in files}
    return {**found, "database": dumped(home / "airflow.db")}


def dumped(database: Path) -> bytes:
    """All rows as SQL: in the file, pages cut long values into pieces."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump()).encode()


def came(mails: list[Mail]) -> bool:
    """Whether every mail is there."""
    subjects = {re.sub(r" \(run .*|, (run|try) .*", "", mail.subject) for mail in mails}
    return subjects.issuperset(SUBJECTS) and any(mail.subject.startswith("Re: ") for mail in mails)


def in_json(answers: Mapping[str, Any]) -> dict[str, str]:
    """Answers as the API sends them, and mails."""
    return {name: json.dumps(answer, ensure_ascii=False) for name, answer in answers.items()}


def by_commands(stage: Stage, folder: Path) -> dict[str, str]:
    """What `airflow connections` prints, by the command."""
    exported = {f"export .{suffix}": folder / f"exported.{suffix}" for suffix in ("json", "env")}
    commands = {
        "airflow connections list": ("list", "-o", "json"),
        "airflow connections test mail_two": ("test", "mail_two"),
        "airflow connections test mail_echo": ("test", "mail_echo"),
        "airflow connections test mail_broken": ("test", "mail_broken"),
        "list --show-values": ("list", "-o", "json", "--show-values"),
        "list --hide-sensitive": ("list", "-o", "json", "--show-values", "--hide-sensitive"),
        **{f"get {conn_id}": ("get", "-o", "json", conn_id) for conn_id in SIDE_BY_SIDE},
    }
    exports = [("connections", "export", str(path)) for path in exported.values()]
    printed = stage.airflow.commands(*(("connections", *each) for each in commands.values()), *exports)
    assert len(printed) == len(commands) + len(exports)
    files = {name: path.read_text(encoding="utf-8") for name, path in exported.items()}
    return {**dict(zip(commands, printed, strict=False)), **files}


def by_api(stage: Stage, danger: Endangered) -> dict[str, Any]:
    """What the API answers about connections; each is tested, and saved again as the form does."""
    api = stage.airflow.api
    answers = {"form": stage.airflow.ui("connections/hook_meta")}
    for conn_id, form in {**danger.forms, **OFFICIAL}.items():
        answers[f"GET {conn_id}"] = shown = api("GET", f"connections/{conn_id}")
        saved = {**shown, "description": "saved again"}
        del saved["team_name"]
        answers[f"PATCH {conn_id}"] = api("PATCH", f"connections/{conn_id}", saved)
        if conn_id in danger.forms:
            typed = {**form, "connection_id": conn_id, "extra": json.dumps(form["extra"])}
            answers[f"test {conn_id}"] = api("POST", "connections/test", typed)
            answers[f"test saved {conn_id}"] = api("POST", "connections/test", saved)
    answers["GET connections"] = api("GET", "connections?limit=100")
    return answers


def of_runs(stage: Stage, runs: Mapping[str, str]) -> dict[str, Any]:
    """What the API tells about the runs: rendered templates, XComs, logs; and the log of events."""
    api = stage.airflow.api
    answers = {"events": api("GET", "eventLogs?limit=1000")}
    for dag_id, run_id in runs.items():
        run = f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
        answers[f"tasks {dag_id}"] = tasks = api("GET", f"{run}/taskInstances")
        answers[f"source {dag_id}"] = api("GET", f"dagSources/{dag_id}")
        for task in tasks["task_instances"]:
            one = f"{run}/taskInstances/{task['task_id']}"
            answers[f"log {one}"] = api(
                "GET", f"{one}/logs/1?map_index={task['map_index']}&full_content=true"
            )
            entries = api("GET", f"{one}/xcomEntries?map_index={task['map_index']}")["xcom_entries"]
            for entry in entries:
                answers[f"xcom {one} {entry['key']}"] = api(
                    "GET", f"{one}/xcomEntries/{entry['key']}?map_index={task['map_index']}&stringify=true"
                )
    return answers


# ------------------------------------------------------------ tests


def test_the_search_finds_what_there_is() -> None:
    """Each form of each secret; and base64 at any place of a longer text."""
    secrets = {"one": SECRETS[ROBOT], "two": 'a "quoted\\text"', "key": KEY}
    for name, secret in secrets.items():
        for piece in pieces(secret):
            for text, form in forms(piece).items():
                assert any(each.startswith(f"{name} (") for each in leaks(b"x" + text + b"x", secrets)), form
            for before in range(7):
                blob = b64encode(b"\0" * before + piece.encode() + b"\r\n")
                assert any("base64" in each for each in leaks(b"AUTH " + blob, secrets)), before
    assert leaks(b"AUTH PLAIN " + b64encode(f"\0{ROBOT}\0{SECRETS[ROBOT]}".encode()), secrets)
    assert not leaks(b"AUTH PLAIN " + b64encode(f"\0{ROBOT}\0another".encode()), secrets)


@pytest.mark.parametrize(
    ("where", "marker"),
    [
        ("out/scheduler.log", "marker-of-the-task"),
        ("out/api-server.log", "/api/v2/connections/test"),
        ("out/dag-processor.log", "everything.py"),
        ("out/triggerer[0-9]*.log", "[airflow_email_conn.hooks.delivery]"),
        ("logs/dag_id=everything/.*/task_id=by_hand/.*", "marker-of-the-task"),
        ("logs/dag_id=refused/.*/task_id=tell/.*", "marker-of-the-error"),
        ("logs/dag_id=refused/.*/task_id=wrong_out/.*", "check the user and the secret"),
        ("logs/dag_processor/.*/everything.py.log", "Sent <"),
        ("database", "EmailSettings("),  # an XCom
        ("database", "marker-of-the-template"),
        ("database", "airflow_email_conn.notifications.mail.EmailNotifier"),  # for the triggerer
        ("files/told.txt", "refused: A1 LOGIN"),
        ("files/told.txt", "the server closed the connection"),
        ("files/told.txt", "not done within"),
        ("files/told.txt", "cannot connect to localhost port 9"),
        ("files/told.txt", "Advanced: Timeout (seconds) (timeout): is not a time"),
        ("files/told.txt", "pasword: is not a field of this connection"),
        ("files/told.txt", "Secret (password) (password): stands in the extra"),
        ("process list", "airflow worker -- LocalExecutor: 0"),
        ("tasks everything", "marker-of-the-template"),
        ("xcom .*/by_hand return_value", "EmailSettings("),
        ("log .*/tell", "marker-of-the-error"),
        ("events", "mail_two"),
        ("mail .*: Task refused.tell failed .*", "marker-of-the-error"),
        ("airflow connections list", "mail_two"),
        ("airflow connections test mail_two", "Connection success!"),
        ("airflow connections test mail_echo", "FAILED at step 'sign in'"),
        ("airflow connections test mail_broken", "Timeout (seconds) (timeout): is not a time"),
        ("test mail_wrong", "FAILED at step 'sign in'"),
        ("test mail_two", "sign in, open INBOX"),
    ],
)
def test_it_was_driven_and_left_traces(traces: Traces, where: str, marker: str) -> None:
    """Where nothing is written, a search proves nothing."""
    assert any(marker.encode() in text for name, text in traces.texts.items() if re.fullmatch(where, name))


def test_no_secret_shows(traces: Traces) -> None:
    """In no form, in nothing that anybody wrote: logs at DEBUG, database, answers, mails, process list."""
    found = []
    for name, text in traces.texts.items():
        # What a form's plain fields hold the API shows, whatever the type of the connection.
        shows_fields = name.startswith(("GET ", "PATCH "))
        secrets = {**traces.danger.secrets, **({} if shows_fields else traces.danger.mistyped)}
        # Airflow's LocalExecutor copies what a task raises to the scheduler's output as it is: only what
        # `blurt` raises on purpose is taken out, all else there is searched.
        searched = BLURTED.sub(b"", text) if name == "out/scheduler.log" else text
        found += [f"{name}: {leak}" for leak in leaks(searched, secrets)]
    assert not found, "\n".join(found)


def test_what_a_task_blurts_out_is_masked(traces: Traces) -> None:
    """A password, and a secret from a Variable of an innocent name: in its log, in its mail."""
    log = r"logs/dag_id=refused/.*/task_id=blurt/.*"
    mail = r"mail .*: Task refused.blurt failed .*"
    for where, expected in ((log, b"blurted<<*** ***>>"), (mail, b"blurted&lt;&lt;*** ***&gt;&gt;")):
        assert any(expected in text for name, text in traces.texts.items() if re.fullmatch(where, name))
    assert BLURTED.search(traces.texts["out/scheduler.log"])


@pytest.mark.parametrize("conn_id", SIDE_BY_SIDE)
def test_secrets_are_treated_as_those_of_airflows_own_types(traces: Traces, conn_id: str) -> None:
    """The API masks the password and each secret of the extra, and nothing else; commands show all of it."""
    secret_keys = SIDE_BY_SIDE[conn_id]
    form = {**OFFICIAL, **traces.danger.forms}[conn_id]
    masked = {**form["extra"], **dict.fromkeys(secret_keys, "***")}
    password = "***" if form["password"] else None
    for method in ("GET", "PATCH"):
        answer = traces.told[f"{method} {conn_id}"]
        assert answer["password"] == password
        assert json.loads(answer["extra"]) == masked
    exported = json.loads(traces.printed["export .json"])[conn_id]
    assert exported["password"] == form["password"]
    assert json.loads(exported["extra"]) == form["extra"]
    (uri,) = (line for line in traces.printed["export .env"].splitlines() if line.startswith(f"{conn_id}="))
    values = [form["password"], *(form["extra"][key] for key in secret_keys)]
    for printed in (uri, traces.printed[f"get {conn_id}"], traces.printed["list --show-values"]):
        assert all(leaks(printed.encode(), {"it": value}) for value in values if value)
    # Airflow's own gap: the URI that this shows has every flat extra in clear.
    hidden = json.loads(traces.printed["list --hide-sensitive"])
    (ours,) = (each for each in hidden if each["conn_id"] == conn_id)
    assert ours["extra_dejson"] == "***"
    assert ours["password"] == password


def test_saving_masked_secrets_keeps_them(traces: Traces) -> None:
    """As when somebody edits the description in the form."""
    for conn_id in ("mail_two", "mail_variable", "mail_macro"):
        assert traces.told[f"test {conn_id}"]["status"] is True
        assert traces.told[f"test saved {conn_id}"]["status"] is True
