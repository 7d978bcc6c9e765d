"""Three steps of our trainer on a foreign environment, by a tiny model that speaks its words."""

from runs import rows, small, trained

BOOK = {"rollout": {"tasks": 4, "attempts": 4}, "limits": {"turn_tokens": 8}}


def speaker(folder, env, **warm_start):
    """A saved tiny model after a warm start on an environment of ours."""
    warm = {"episodes": 64, "steps": 40, "batch": 16, **warm_start}
    run = small(folder, env=env, warm_start=warm, train={"steps": 1}, **BOOK)
    trained(run)
    return str(max((folder / "checkpoints").glob("step-*")))


def three_steps(folder, env, **sections):
    """The metrics of each step; by default without a warm start."""
    settings = {"warm_start": None, "train": {"steps": 3}, **BOOK}
    trained(small(folder, env=env, **{**settings, **sections}))
    steps = [row for row in rows(folder / "metrics.jsonl") if "train/reward" in row]
    assert len(steps) == 3
    assert any(row.get("learner/grad_norm", 0) > 0 for row in steps), "it learned nothing"
    return steps
