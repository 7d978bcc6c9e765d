"""A new environment in fifteen lines, trained in seconds.

Run it with `python examples/write_an_env.py`.
"""

from typing import Any

from agentrl import Reply, TextEnv, build_run, register, run_training


class First(TextEnv):
    """Say which of three letters comes first in the alphabet."""

    def new_task(self, rng):
        return {"letters": rng.choice(list("abcdefghij"), 3, replace=False).tolist()}

    def begin(self, data):
        return "which comes first: " + " ".join(data["letters"])

    def act(self, text):
        return Reply(done=True, success=text == min(self.data["letters"]))

    def expert(self, rng):  # knows the format, not the task: what the warm start imitates
        return str(rng.choice(self.data["letters"]))


SETTINGS: dict[str, Any] = {
    "env": "First-v0",
    "model": {"name": "tiny", "hidden_size": 32, "layers": 2},
    "warm_start": {"episodes": 512, "steps": 100, "lr": 1e-2},
    "limits": {"turn_tokens": 4},
    "rollout": {"tasks": 8, "attempts": 8},
    "learner": {"lr": 3e-3},
    "train": {"steps": 60, "train_tasks": 512, "eval_tasks": 64},
    "out": "runs/first",
}


def main() -> dict[str, Any]:
    """Train; returns the summary."""
    register("First-v0", First)
    return run_training(build_run(SETTINGS))


if __name__ == "__main__":
    main()
