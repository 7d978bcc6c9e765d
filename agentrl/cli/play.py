"""`agentrl play ENV`: a person, the oracle or the expert plays one episode in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import typer

from agentrl.env import TextEnv, env_class, make
from agentrl.errors import ConfigError
from agentrl.signature import written_arguments

PLAYERS = ("human", "oracle", "expert")


def play(env: str, arguments: Sequence[str], *, player: str, seed: int) -> None:
    """Play until the environment ends it; a person may, with an empty line or Ctrl-D."""
    if player not in PLAYERS:
        raise ConfigError(f"unknown player {player!r}: choose {', '.join(PLAYERS)}")
    environment = build(env, arguments)
    rng = np.random.default_rng(seed)
    text, info = environment.reset(seed=seed)
    if info.get("system"):
        typer.secho(str(info["system"]), dim=True)
    typer.echo(text)
    total, over, success = 0.0, False, False
    while not over:
        action = _next(environment, player, rng)
        if action is None:
            typer.echo("left before the end")
            return
        text, reward, terminated, truncated, info = environment.step(action)
        total += reward
        over, success = terminated or truncated, bool(info["success"])
        typer.echo(text)
    outcome = "solved" if success else "not solved"
    typer.echo(f"{outcome}, reward {total:g}, {environment.turn} turns")


def _next(environment: TextEnv, player: str, rng: np.random.Generator) -> str | None:
    """The next text, or None when a person has had enough."""
    if player == "human":
        try:
            return input("> ").replace("\\n", "\n") or None
        except EOFError:
            return None
    try:
        action = environment.oracle() if player == "oracle" else environment.expert(rng)
    except NotImplementedError as error:  # this environment has no such player
        raise ConfigError(f"{error}, or choose another --player") from None
    typer.secho(f"> {action}", fg=typer.colors.CYAN)
    return action


def build(env: str, arguments: Sequence[str]) -> TextEnv:
    """The environment with `key=value` arguments. Raises: ConfigError."""
    return make(env, **written_arguments(env_class(env), arguments))
