"""Many processes, one sign-in: one of them at a time has the lease, and no refresh token is used twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from airflow_email_conn.oauth.lease import Lease
from tests.oauth.connections import PERSON, fields_of, keeper_of, settings, sign_in
from tests.oauth.crowd import crowd, store_at

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.authority import Authority
    from tests.servers.bed import Bed


@pytest.mark.parametrize(("kind", "rounds"), [("file", 4), ("slow", 2)])
def test_one_at_a_time(tmp_path: Path, kind: str, rounds: int) -> None:
    """The lease never has two holders, in a store with compare-and-set and in one without."""
    seen = crowd(4, 8, {"store": f"{kind}:{tmp_path / 'store'}", "lease": 30})
    held = sorted(each for use in seen for each in use.held)
    assert len(held) >= rounds
    assert all(before[1] <= after[0] for before, after in pairwise(held))


def test_a_holder_that_dies(tmp_path: Path) -> None:
    """Its lease ends by itself, and not before."""
    place = f"file:{tmp_path / 'store'}"
    take = (
        "import sys, time; from tests.oauth.crowd import Lease, store_at;"
        "print(Lease(store_at(sys.argv[1]), 'lease', 2.0).take(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", take, place], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        process.send_signal(signal.SIGKILL)
    lease = Lease(store_at(place), "lease", 2.0)
    assert not lease.take()
    time.sleep(2.1)
    assert lease.take()


@pytest.mark.parametrize("kind", ["file", "slow"])
def test_one_sign_in_for_all(bed: Bed, authority: Authority, tmp_path: Path, kind: str) -> None:
    """Signed in here, used and renewed by others, all at once, with tokens that end again and again."""
    authority.ttl(access=8)
    place = f"{kind}:{tmp_path / 'store'}"
    fields = fields_of(bed, authority, **PERSON)
    keeper = keeper_of(settings(bed, authority, **PERSON).incoming, store_at(place))
    record = sign_in(authority, keeper)
    seen = crowd(4, 20, {"store": place, "fields": fields})
    assert [failure for use in seen for failure in use.failures] == []
    assert all(use.uses > 5 for use in seen)
    counts = authority.counts()
    assert counts.replays == 0
    assert counts.refresh_token >= 2
    assert keeper.token().signed_in_at == record.signed_in_at
