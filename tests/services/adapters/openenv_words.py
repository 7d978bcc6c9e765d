"""An OpenEnv server for the tests, written as OpenEnv wants it: say a word back.

    python openenv_words.py PORT [twice]

With `twice`, an action has two fields and an observation no text of its own.
"""

import random
import sys

import uvicorn
from openenv.core.env_server import Action, Environment, Observation, State, create_fastapi_app

WORDS = ("red", "green")


class Say(Action):
    word: str


class SayTwice(Action):
    word: str
    times: int


class Heard(Observation):
    prompt: str = ""


class Counted(Observation):
    word: str = ""
    left: int = 0


class Words(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed=None, episode_id=None, words=WORDS, **_):
        self.word = random.Random(seed).choice(words)
        self.turns = 0
        return self.observed(f"say {self.word}", 2)

    def step(self, action, timeout_s=None, **_):
        self.turns += 1
        right = action.word == self.word and getattr(action, "times", 2) == 2
        observed = self.observed("" if right else f"no, say {self.word}", 2 - self.turns)
        observed.reward, observed.done = float(right), right or self.turns == 2
        return observed

    def observed(self, text, left):
        return Counted(word=self.word, left=left) if TWICE else Heard(prompt=text)

    @property
    def state(self):
        return State(step_count=self.turns)


if __name__ == "__main__":
    TWICE = "twice" in sys.argv
    kinds = (SayTwice, Counted) if TWICE else (Say, Heard)
    app = create_fastapi_app(Words, *kinds, max_concurrent_envs=64)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
