"""Eight processes that use one sign-in for a minute; a refresh token that comes twice would end it."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.oauth.connections import PERSON, fields_of, keeper_of, settings, sign_in
from tests.oauth.crowd import crowd, store_at

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.authority import Authority
    from tests.servers.bed import Bed

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]
PROCESSES, SECONDS = 8, 60
KINDS = ["file", "slow", "stalling", "variables"]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that all processes reach; Airflow's has its database in SQLite."""
    if request.param == "variables":
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
        subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=dict(os.environ),
            check=True,
            capture_output=True,
        )
    return f"{request.param}:{tmp_path / 'store'}"


@pytest.mark.parametrize("seconds", [305, 10])
@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_one_sign_in_for_all(
    bed: Bed, authority: Authority, tmp_path: Path, place: str, seconds: int
) -> None:
    """No use fails and the sign-in lives, with tokens that are renewed early, and with some that end."""
    authority.ttl(access=seconds)
    mine = f"file:{tmp_path / 'mine'}" if place.startswith("variables") else place
    keeper = keeper_of(settings(bed, authority, **PERSON).incoming, store_at(mine))
    sign_in(authority, keeper)
    if mine != place:
        _copy(mine, place, keeper.key)
    authority.reset()
    authority.ttl(access=seconds)
    seen = crowd(PROCESSES, SECONDS, {"store": place, "fields": fields_of(bed, authority, **PERSON)})
    counts = authority.counts()
    failures = [failure for use in seen for failure in use.failures]
    print(
        f"\n{place.partition(':')[0]}, tokens of {seconds} s: {sum(use.uses for use in seen)} uses,"
        f" {len(failures)} failures {failures[:3]},"
        f" {counts.refresh_token} renewals, {counts.replays} replayed,"
        f" longest {max(use.longest for use in seen):.1f} s"
    )
    assert failures == []
    assert counts.replays == 0
    assert counts.refresh_token > 0
    if mine == place:
        keeper.renewed(keeper.token())  # the sign-in lives


@pytest.mark.parametrize("place", KINDS, indirect=True)
def test_one_at_a_time(place: str) -> None:
    """The lease never has two holders."""
    seen = crowd(PROCESSES, SECONDS, {"store": place, "lease": 30})
    held = sorted(each for use in seen for each in use.held)
    print(f"\n{place.partition(':')[0]}: {len(held)} times, longest {max(use.longest for use in seen):.1f} s")
    assert len(held) > 2
    assert all(before[1] <= after[0] for before, after in pairwise(held))


def _copy(source: str, target: str, key: str) -> None:
    """Through a process of its own: this one has read its AIRFLOW_HOME long ago."""
    code = (
        "import sys; from tests.oauth.crowd import store_at;"
        "store_at(sys.argv[2]).set(sys.argv[3], store_at(sys.argv[1]).get(sys.argv[3]))"
    )
    subprocess.run([sys.executable, "-c", code, source, target, key], check=True)
