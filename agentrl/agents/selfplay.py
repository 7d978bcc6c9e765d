"""Self-play: one policy on both sides of a game, of which one side learns.

    learner     [rules, news] move [news] move ...       trajectory `main`, trained
    opponent    [rules, news] move [news] move ...       trajectory `opponent`, context only

The environment says whose turn it is (`info["player"]`) and whose reward it pays
(`info["learner"]`, player 0 if it does not say). Each side hears its own news alone. A player named
`opponent` takes the other side where there is one, else it is `main` again, with its weights of
now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agentrl.agents.program import ProgramAgent
from agentrl.agents.scene import Role, Scene
from agentrl.direction import first_messages
from agentrl.errors import ConfigError
from agentrl.protocols import Player, Stage
from agentrl.types import Episode, Task


class SelfPlayAgent(ProgramAgent):
    """Plays both sides of a game; the learner's trajectory is the main one."""

    async def __call__(self, task: Task, stage: Stage, players: Mapping[str, Player]) -> Episode:
        """One episode with two trajectories; how it ended is the status of both."""
        played = await super().__call__(task, stage, players)
        main, *others = played.trajectories
        opponents = (replace(other, status=main.status) for other in others if other.turns)
        return replace(played, trajectories=(main, *opponents))

    async def program(self, scene: Scene) -> None:
        """Play to the end. Raises: ConfigError: the environment knows no players."""
        opening, seat = scene.info, int(scene.info.get("learner", 0))
        learner = scene.role("main", tools=scene.tools)
        opponent = scene.role("opponent", tools=scene.tools)
        opponent.player = scene.players.get("opponent", opponent.player)  # against a script too
        opponent.trained = False  # demonstrations do not teach it either
        while not scene.over:
            side = learner if next_player(scene) == seat else opponent
            began = bool(side.turns) or scene.info is opening
            state = scene.info.get("state", None if began else scene.text)  # else the other began
            hear(side, scene.text)
            news = scene.messages if side.turns else first_messages(scene.text, opening)
            said = await side.says(news, state=state)
            await scene.act(said, side)
            hear(side, "")  # what came of it is the other side's news
        hear(learner, scene.text)


def next_player(scene: Scene) -> int:
    """Whose turn it is. Raises: ConfigError."""
    if "player" not in scene.info:
        raise ConfigError(
            f"the agent selfplay needs info['player'], which {scene.task.env} does not give: set "
            "agent: chat, or let the game leave its opponent to the agent (opponent: self)",
            "agent",
        )
    return int(scene.info["player"])


def hear(side: Role, text: str) -> None:
    """Note what a side is told after its last turn."""
    if side.turns:
        side.turns[-1] = replace(side.turns[-1], reply=text)
