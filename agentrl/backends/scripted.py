"""A player that reads from a script: for demonstrations, dry runs and tests.

It goes the same path as a model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

import numpy as np

from agentrl.direction import scripted
from agentrl.errors import EnvError
from agentrl.protocols import Chat, Player, Stage
from agentrl.rollout import Cast
from agentrl.types import Completion, Span

Script = Callable[[], Awaitable[str]]


class ScriptedPlayer:
    """Says what `script` answers; log-probs are 0 because nothing was drawn."""

    def __init__(self, chat: Chat, script: Script) -> None:
        self.chat = chat
        self.script = script

    async def complete(self, context: Sequence[Span], max_tokens: int) -> Completion:
        """The script's next text, cut at `max_tokens`."""
        text = await self.script()
        if not isinstance(text, str):
            raise EnvError(f"the script said {text!r}: give a text")
        return scripted(self.chat, text, max_tokens)

    def again(self, place: int) -> ScriptedPlayer:
        """Itself: there is one script."""
        return self

    async def recite(self, text: str, max_tokens: int) -> Completion:
        """An answer that an agent gives itself, for the script knows actions only."""
        return scripted(self.chat, text, max_tokens)


def silent(chat: Chat) -> Cast:
    """Cast a player that says nothing, turn after turn."""

    async def nothing() -> str:
        return ""

    @contextmanager
    def cast(stage: Stage, seed: int) -> Iterator[Mapping[str, Player]]:
        yield {"main": ScriptedPlayer(chat, nothing)}

    return cast


def expert(chat: Chat) -> Cast:
    """Cast the environment's own noisy expert in the main role."""

    @contextmanager
    def cast(stage: Stage, seed: int) -> Iterator[Mapping[str, Player]]:
        rng = np.random.default_rng(seed)
        yield {"main": ScriptedPlayer(chat, lambda: stage.ask("expert", rng))}

    return cast


def oracle(chat: Chat) -> Cast:
    """Cast the environment's own perfect player in the main role."""

    @contextmanager
    def cast(stage: Stage, seed: int) -> Iterator[Mapping[str, Player]]:
        yield {"main": ScriptedPlayer(chat, lambda: stage.ask("oracle"))}

    return cast


SCRIPTS: Mapping[str, Callable[[Chat], Cast]] = MappingProxyType(
    {"oracle": oracle, "expert": expert, "null": silent}
)
"""Players that need no model, by name."""
