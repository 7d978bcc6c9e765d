"""The environment `agentrl/TextArena-v0`: the games of TextArena, alone, against a player, or both.

A game tells each player what it has not heard yet, so an observation is the news, not the history.
`mend` keeps the library's global seeding apart, silences what games print, and hands on the end of
a text alone: games search texts in quadratic time, which stops the whole process for minutes at 50
KB. Every episode plays a new instance, because wrappers keep the observations of earlier ones.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from agentrl.envs.adapters.base import Adapter, Moved
from agentrl.envs.adapters.library import known, load
from agentrl.envs.adapters.opponents import any_move
from agentrl.errors import ConfigError

MAX_ACTION = 4000
"""Characters at the end of a text that a game sees; fewer than the digits that Python converts."""
MAX_OPPONENT_MOVES = 256
"""Moves in a row after which an opponent is taken for stuck."""


class TextArena(Adapter):
    """A game of TextArena for one player or two.

    Moves stand in square brackets, which are added where a text has none; a text's last 4,000
    characters count. The reward is what the game pays the learner at its end, mostly 1, 0 or -1.
    `info["player"]` is whose turn it is.

    With `opponent: self` the other player's turns are steps too: `info["learner"]` is the player
    whose reward it is, and the agent `selfplay` plays both. Turns count for both together then.

    Args:
        game: an id such as `TicTacToe-v0`.
        arguments: keyword arguments of the game beyond those of the id.
        players: 1 or 2; None is the least that the game begins with, which costs a reset to try.
        opponent: `random` makes any move that the game's last message names; where that names
            examples only (Nim) it may err, and lose to a learner that says nothing. `self` leaves
            it to the agent; a list of texts is said in turn, over and over.
        player: which player the learner is; None draws it with the task.

    Raises:
        ConfigError: an unknown game, one for more players, or arguments that it does not take.
        DataError: it needs data that cannot be downloaded here.
        MissingDependencyError: TextArena is not installed.
    """

    pickles: bool = False  # the library's wrappers cannot be unpickled

    def __init__(
        self,
        *,
        game: str = "GuessTheNumber-v0",
        arguments: Mapping[str, Any] | None = None,
        players: Literal[1, 2] | None = None,
        opponent: str | Sequence[str] = "random",
        player: Literal[0, 1] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self.what = game
        self.arguments = dict(arguments or {})
        if opponent not in ("random", "self") and (isinstance(opponent, str) or not opponent):
            raise ConfigError(
                f"opponent={opponent!r}: give random, self, or a list of texts", "opponent"
            )
        self.opponent, self.player = opponent, player
        with self.foreign("import"):
            registry = load("textarena.envs.registration", "textarena", "textarena")
        known("game", game, registry.ENV_REGISTRY, "game")
        self.players = self._least(players)

    def _least(self, players: int | None) -> int:
        """How many play: the first number that the game begins with."""
        refused: ConfigError | None = None
        for count in (1, 2) if players is None else (players,):
            try:
                self.built(partial(self._begun, count, 0))
                return count
            except ConfigError as error:  # every game refuses a number of players in its own way
                refused = refused or error
        raise ConfigError(f"{refused}; games for three or more are not supported", "players")

    def _begun(self, count: int, seed: int) -> Any:
        """A new game after its reset."""
        game = self._make()
        game.reset(num_players=count, seed=seed)
        return game

    def _make(self) -> Any:
        game = load("textarena", "textarena", "textarena").make(self.what, **self.arguments)
        if self.mend:
            vars(sys.modules[type(innermost(game)).__module__])["print"] = silence
        return game

    # ---- the game ----

    def own_turns(self) -> int | None:
        """The game's limit and as many refused moves, which it does not count."""
        limit = getattr(self._game.state, "max_turns", None)
        return None if limit is None else 2 * limit + 2

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """As every environment, and who plays."""
        text, info = super().reset(seed=seed, options=options)
        return text, {**info, **self._seats()}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """As every environment, and who plays next."""
        text, reward, terminated, truncated, info = super().step(action)
        return text, reward, terminated, truncated, {**info, **self._seats()}

    def _seats(self) -> dict[str, int]:
        return {"player": self._turn, "learner": self.learner}

    def start(self, data: Mapping[str, Any]) -> Any:
        """The rules as the first player hears them, after what an opponent before it did."""
        self._env = self._begun(self.players, data["seed"])
        self._game = innermost(self._env)
        drawn = data["seed"] % self.players if self.player is None else self.player
        self.learner = min(drawn, self.players - 1)
        self._draws = np.random.default_rng([data["seed"], 1])
        self._heard: dict[int, list[str]] = {0: [], 1: []}
        self._said = 0
        self._done = False
        return self._news()

    def _news(self) -> str:
        """What the next player hears, after the opponent's moves where it is not the agent's."""
        for _ in range(MAX_OPPONENT_MOVES):
            text = self._hear()
            if self._done or self.opponent == "self" or self._turn == self.learner:
                return text
            self._done, _ = self._env.step(self._reply())
        raise ConfigError(
            f"opponent={self.opponent!r} never lets the learner of {self.what} play: let it make "
            "other moves",
            "opponent",
        )

    def _hear(self) -> str:
        """The unheard messages of the player whose turn it is, or of the learner at the end."""
        self._turn = int(self._game.state.current_player_id)
        if self._done:
            unheard = self._game.state.observations[self.learner]
            return "\n".join(self._lines(unheard, self.learner))
        _, unheard = self._game.get_observation()
        lines = list(self._lines(unheard, self._turn))
        self._heard[self._turn] += lines
        return "\n".join(lines)

    def _lines(self, messages: Sequence[tuple[int, str, Any]], player: int) -> Iterator[str]:
        """Messages with their speaker; what a player did itself it knows."""
        for speaker, message, kind in messages:
            if speaker == player and kind.name == "PLAYER_ACTION":
                continue
            yield f"{message}" if speaker < 0 else f"[Player {speaker}] {message}"

    def _reply(self) -> str:
        """The opponent's next text."""
        if self.opponent == "random":
            return any_move(self._heard[self._turn], self._draws)
        self._said += 1
        return self.opponent[(self._said - 1) % len(self.opponent)]

    def move(self, text: str) -> Moved:
        """Make the move of the player whose turn it is, then the opponent's."""
        self._done, _ = self._env.step(text[-MAX_ACTION:] if self.mend else text)
        news = self._news()
        if not self._done:
            return Moved(text=news)
        rewards, info = self._game.close()
        ending = str((info or {}).get(self.learner, {}).get("reason") or "")
        return Moved(
            text="\n".join(line for line in (news, ending) if line),
            reward=float((rewards or {}).get(self.learner, 0.0)),
            terminated=True,
        )

    def expert(self, rng: np.random.Generator) -> str:
        """Any move that the game's last message names."""
        return any_move(self._heard[self._turn], rng)

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Games for one and for two that need no data.

        Where moves are listed (TicTacToe), repeating them makes the first, which may win against a
        random opponent; against oneself every text wins and loses. Neither is checked by itself.
        """
        games = ("GuessTheNumber-v0", "FrozenLake-v0-random", "Mastermind-v0", "KuhnPoker-v0-short")
        return {game: {"game": game} for game in games}


def innermost(game: Any) -> Any:
    """The game without the library's wrappers."""
    while "env" in vars(game):
        game = game.env
    return game


def silence(*_: Any, **__: Any) -> None:
    """Print nothing."""
