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


@pytest.mark.filterwarnings("default")
def test_the_notifier_of_the_readme_is_asked_everywhere() -> None:
    """By the task and by the run."""
    (block,) = (block for block in BLOCKS if "DeadlineAlert" in block)
    space: dict[str, object] = {}
    exec(block, space)
    task = space["nightly"].get_task("load")  # type: ignore[attr-defined]
    assert task.on_failure_callback == task.on_retry_callback == [space["tell"]]


def test_every_block_compiles() -> None:
    """No block is left behind by a change."""
    assert len(BLOCKS) >= 2
    for block in BLOCKS:
        compile(block, "README.md", "exec")
