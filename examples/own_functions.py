"""Three typed functions of your own as an environment in fifteen lines, trained in a minute.

Run it with `python examples/own_functions.py`.
"""

from typing import Any

from agentrl import Reply, ToolEnv, build_run, register, run_training
from agentrl.types import ToolCall


def price(start: int, end: int) -> int:
    """What a ride from one stop of the tram to another costs, in coins."""
    return 1 + abs(start - end) // 2


def minutes(start: int, end: int) -> int:
    """How long a ride from one stop of the tram to another takes."""
    return 2 * abs(start - end)


def stops(start: int, end: int) -> int:
    """How many stops lie between one stop of the tram and another."""
    return abs(start - end) - 1


ASKED = {"expensive": price, "long": minutes, "far": stops}


class Tram(ToolEnv):
    """Answer by calling the right one of three functions."""

    functions = (price, minutes, stops)
    max_turns = 3

    def new_task(self, rng):
        start, end = rng.choice(range(1, 10), 2, replace=False).tolist()
        return {"word": str(rng.choice(list(ASKED))), "ride": {"start": start, "end": end}}

    def begin(self, data):
        return "From {ride[start]} to {ride[end]}: how {word}?".format(**data)

    def said(self, text):  # what is no call is the answer
        right = ASKED[self.data["word"]](**self.data["ride"])
        return Reply(done=True, success=text == str(right))

    def expert(self, rng):  # knows the format, and the right function half of the time
        name = str(rng.choice([f.__name__ for f in (ASKED[self.data["word"]], *self.functions)]))
        return self.render() if self.turn else self.write([ToolCall(name, self.data["ride"])])


SETTINGS: dict[str, Any] = {
    "env": {"id": "Tram-v0", "calls": "llama_pythonic", "listing": "none"},
    "model": {"name": "tiny", "hidden_size": 32, "layers": 2},
    "warm_start": {"episodes": 1024, "steps": 300, "lr": 5e-3, "batch": 16},
    "limits": {"turn_tokens": 12},
    "rollout": {"tasks": 16, "attempts": 8},
    "learner": {"lr": 1e-3},
    "train": {"steps": 40, "train_tasks": 512, "eval_tasks": 64},
    "out": "runs/tram",
}


def main() -> dict[str, Any]:
    """Train; returns the summary."""
    register("Tram-v0", Tram)
    return run_training(build_run(SETTINGS))


if __name__ == "__main__":
    main()
