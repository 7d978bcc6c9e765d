"""A new environment in fifteen lines, trained in seconds.

python examples/write_an_env.py
"""

from agentrl import Reply, TextEnv, build_run, register, run_training


class Reverse(TextEnv):
    """Say four letters backwards."""

    def new_task(self, rng):
        return {"letters": [str(letter) for letter in rng.choice(list("abcdef"), 4)]}

    def begin(self, data):
        return "reverse " + " ".join(data["letters"])

    def act(self, text):
        return Reply(done=True, success=text.split() == self.data["letters"][::-1])

    def expert(self, rng):  # knows the format, not the task: what the warm start imitates
        return " ".join(sorted(self.data["letters"], reverse=bool(rng.integers(2))))


SETTINGS = {
    "env": "Reverse-v0",
    "model": {"name": "tiny", "hidden_size": 32, "layers": 2},
    "warm_start": {"episodes": 512, "steps": 100},
    "limits": {"turn_tokens": 8},
    "learner": {"lr": 3e-3},
    "train": {"steps": 60, "train_tasks": 512, "eval_tasks": 64},
    "out": "runs/reverse",
}

if __name__ == "__main__":
    register("Reverse-v0", Reverse)
    run_training(build_run(SETTINGS))
