"""Gymnasium environments of somebody else, well behaved and not."""

import random
import time

import gymnasium
import numpy as np
from gymnasium import spaces

ANY = spaces.Text(max_length=100_000, min_length=0)


class Guess(gymnasium.Env):
    """Guess one of three words in three turns; everything it draws is global, as in GEM."""

    words = ("ash", "elm", "oak")

    def __init__(self, ends=(True, True)):
        self.observation_space = self.action_space = ANY
        self.ends = ends

    def reset(self, *, seed=None, options=None):
        random.seed(seed)
        np.random.seed(seed)
        self.turn = 0
        return f"guess {', '.join(self.words)}; today {random.random():.3f}", {}

    def step(self, action):
        self.turn += 1
        right = action == random.choice(self.words)
        mood = f"{np.random.rand():.3f}"
        info = {"mood": np.float32(0.5), "text": "no number"}
        if right or self.turn == 3:
            return mood, float(right), *self.ends, info
        return mood, 0.0, False, False, info

    def expert(self, rng):
        return str(rng.choice(self.words))


class Odd(gymnasium.Env):
    """Does what `how` says."""

    observation_space = action_space = ANY

    def __init__(self, how):
        self.how = how

    def reset(self, *, seed=None, options=None):
        if self.how == "raises":
            raise RuntimeError("no\nboard * today")
        return ({"board": 1} if self.how == "dictionary" else "go"), {}

    def step(self, action):
        if self.how == "hangs":
            time.sleep(0.3)
        seen = action if self.how == "repeats" else "on"
        return seen, float("nan") if self.how == "nan" else 0.0, self.how == "ends", True, {}


class Pixels(gymnasium.Env):
    """Looks at a picture, turns two knobs."""

    observation_space = spaces.Box(0, 255, (8, 9), np.uint8)
    action_space = spaces.MultiDiscrete([3, 4])

    def reset(self, *, seed=None, options=None):
        return np.zeros((8, 9), np.uint8), {}

    def step(self, action):
        return np.full((8, 9), int(action[1]), np.uint8), float(action[0]), True, False, {}


def brightest(picture):
    return f"brightest {picture.max()}"


def first_letter(text):
    return text[:1] or None


for name, entry in (("Guess", Guess), ("Odd", Odd), ("Pixels", Pixels)):
    gymnasium.register(f"foreign/{name}-v0", entry, disable_env_checker=True)
