"""`agentrl play ENV`: a person, the oracle or the expert plays one episode in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import typer
import yaml

from agentrl.env import TextEnv, make
from agentrl.errors import ConfigError

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
    return make(env, **read_arguments(env, arguments))


def read_arguments(env: str, arguments: Sequence[str]) -> dict[str, Any]:
    """`key=value` arguments, checked against the signature. Raises: ConfigError."""
    from agentrl.algorithms.base import part
    from agentrl.env import env_class

    values = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals:
            raise ConfigError(f"cannot read {argument!r}: write key=value, for example size=4")
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"cannot read {argument!r}: the value is not YAML") from None
    return dict(part(env_class(env), **values).arguments)
