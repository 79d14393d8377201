"""The README's Python is Python that works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BLOCKS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.filterwarnings("default")
def test_the_dag_of_the_readme_is_a_dag() -> None:
    """It is built, with the tasks it shows in the order it shows."""
    space: dict[str, object] = {}
    exec(BLOCKS[0], space)
    wait = space["wait"]
    dag = wait.dag  # type: ignore[attr-defined]
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "wait": {"fetch", "reply"},
        "fetch": {"load", "done"},
        "load": {"reply", "done"},
        "reply": set(),
        "done": set(),
    }


def test_every_block_compiles() -> None:
    """No block is left behind by a change."""
    assert len(BLOCKS) >= 2
    for block in BLOCKS:
        compile(block, "README.md", "exec")
