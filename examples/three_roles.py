"""A program of three roles in ten lines: they learn to pass a word on, from whoever is paid.

Run it with `python examples/three_roles.py`; `agentrl journal runs/whisper` shows who earned what.
"""

from typing import Any

from agentrl import Scene, build_run, register, run_training
from agentrl.envs.echo import Echo


class Whisper(Echo):
    """Say the word back, as an expert shows it who is often wrong."""

    def expert(self, rng):
        return self.oracle() if rng.random() < 0.6 else super().expert(rng)


async def whispered(scene: Scene) -> None:
    """The reader sees the task, the runner hears the reader, the speaker hears the runner."""
    speaker = scene.role("speaker")
    reader = scene.role("reader", parent=speaker)
    runner = scene.role("runner", parent=speaker)
    while not scene.over:
        word = await reader.says(scene.messages)
        word = await runner.says(f"pass {word}")
        await scene.act(await speaker.says(f"say {word}"), speaker)


SETTINGS: dict[str, Any] = {
    "env": {"id": "Whisper-v0", "words": 3},
    "model": {"name": "tiny", "hidden_size": 32, "layers": 2},
    "agent": {"name": "program", "function": f"{__name__}:whispered"},
    "warm_start": {"episodes": 512, "steps": 300},
    "limits": {"turn_tokens": 4},
    "rollout": {"tasks": 32, "attempts": 8},
    "learner": {"lr": 5e-4},
    "train": {"steps": 40, "train_tasks": 512, "eval_tasks": 64, "eval_every": 20},
    "out": "runs/whisper",
}


def main() -> dict[str, Any]:
    """Train; returns the summary."""
    register("Whisper-v0", Whisper)
    return run_training(build_run(SETTINGS))


if __name__ == "__main__":
    main()
