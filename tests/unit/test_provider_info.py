"""What Airflow reads at start-up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import airflow
import jsonschema

from airflow_email_conn.get_provider_info import get_provider_info

AIRFLOW = Path(airflow.__file__).parent


def schema(name: str) -> dict[str, object]:
    """A JSON schema that Airflow ships."""
    return json.loads((AIRFLOW / name).read_text())


def test_accepted_by_airflow() -> None:
    """It is valid by the schema that Airflow checks, and by the stricter one of its own providers."""
    info = get_provider_info()
    jsonschema.validate(info, schema("provider_info.schema.json"))
    strict = schema("provider.yaml.schema.json")
    for part in ("connection-types", "config"):
        jsonschema.validate(info[part], {**strict["properties"][part], "definitions": strict["definitions"]})


def test_plain_data() -> None:
    """It is JSON: nothing in it is shared with the next caller."""
    first = get_provider_info()
    assert json.loads(json.dumps(first)) == first
    first["connection-types"][0]["conn-fields"].clear()
    assert get_provider_info()["connection-types"][0]["conn-fields"]


def test_imports_neither_airflow_nor_hooks() -> None:
    """Every Airflow process calls it when it starts."""
    code = (
        "import sys; from airflow_email_conn.get_provider_info import get_provider_info as g; g();"
        "print([m for m in sys.modules if m.split('.')[0] in ('airflow', 'msal', 'httpx', 'ssl', 'asyncio')"
        " or '.hooks' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
