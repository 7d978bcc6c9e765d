"""A program of three roles in ten lines: they learn to pass a word on, from whoever is paid.

Run it with `python examples/three_roles.py`; `agentrl journal runs/whisper` shows who earned what.
"""

from typing import Any

from agentrl import Scene, build_run, run_training


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
    "env": {"id": "agentrl/Echo-v0", "words": 2},
    "model": {"name": "tiny", "hidden_size": 32, "layers": 1},
    "agent": {"name": "program", "function": f"{__name__}:whispered"},
    "warm_start": {"episodes": 256, "steps": 60},
    "limits": {"turn_tokens": 4},
    "rollout": {"tasks": 16, "attempts": 16},
    "learner": {"lr": 3e-3},
    "train": {"steps": 60, "train_tasks": 256, "eval_tasks": 64, "eval_every": 20},
    "out": "runs/whisper",
}


def main() -> dict[str, Any]:
    """Train; returns the summary."""
    return run_training(build_run(SETTINGS))


if __name__ == "__main__":
    main()
