"""`agentrl check CONFIG`: resolve everything, play a scripted episode, print the loss's formula."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from agentrl.catalogue import formulas
from agentrl.config import load_run
from agentrl.env import TextEnv
from agentrl.errors import ConfigError


def check(config: str, overrides: Sequence[str]) -> None:
    """Print what a run would do. Raises: AgentRLError on the first thing that cannot work."""
    import yaml

    run = load_run(config, overrides)
    typer.echo(yaml.safe_dump(run.resolved(), sort_keys=False))
    scripted_episode(run.make_env(), run.rollout.settings["attempts"])
    typer.echo("loss = sum over tokens of weight * (token loss + penalty)")
    for slot, line in formulas(run.algorithm).items():
        typer.echo(f"  {slot:<10} {line}")


def scripted_episode(env: TextEnv, attempts: int) -> None:
    """Play one training task with the oracle and show the conversation. Raises: ConfigError."""
    task = env.tasks("train", 1, 0)[0]
    text, info = env.reset(seed=task.seed, options={"task": task})
    typer.echo(f"task {task.id} ({env.id}), {attempts} attempts per group in training")
    lines = [("system", str(info.get("system", ""))), ("env", text)]
    over, total = False, 0.0
    try:
        while not over:
            action = env.oracle()
            text, reward, terminated, truncated, info = env.step(action)
            lines += [("oracle", action), ("env", text)]
            total += reward
            over = terminated or truncated
    except NotImplementedError:
        typer.echo("  no oracle: nothing played")
    for who, said in lines:
        if said:
            typer.echo(f"  {who}: " + said.replace("\n", "\n    "))
    if over and not info["success"]:
        raise ConfigError(
            f"the oracle of {env.id} did not solve its own task {task.id}: reward {total:g}"
        )
    typer.echo(f"  reward {total:g}, parts {dict(info.get('parts', {}))}\n")
