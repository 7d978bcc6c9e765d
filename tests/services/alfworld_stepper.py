"""The reference, to be asked over JSON lines: runs in the Python of an environment with alfworld.

    {"load": "path of game.tw-pddl"}    {"step": "go to desk 1"}

Each answer is {"text": ..., "won": ..., "admissible": [...]}. With `--remember`, what the reference
parses anew at every step (its grammar's rules) is parsed once: the same answers, several times
faster.
"""

import contextlib
import json
import os
import sys
import tempfile
from copy import deepcopy
from functools import lru_cache


def remember():
    """Let the reference keep what it parsed and translated; it parses a problem to load it, and
    again to begin. It changes parsed rules, so each asker has a copy.
    """
    import fast_downward
    from textworld.envs.pddl import textgen

    fast_downward.pddl2sas = lru_cache(maxsize=2)(fast_downward.pddl2sas)
    parsed = lru_cache(maxsize=None)(textgen._parse_and_convert)
    textgen._parse_and_convert = lambda *given, **named: deepcopy(parsed(*given, **named))
    query = lru_cache(maxsize=None)(textgen.Rule.parse_conjunctive_query)
    textgen.Rule.parse_conjunctive_query = staticmethod(query)


def environment():
    import textworld
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
    from textworld.envs import PddlEnv

    infos = textworld.EnvInfos(won=True, admissible_commands=True)
    return AlfredDemangler(PddlEnv(infos), shuffle=False)


def serve(ask, answer):
    if "--remember" in sys.argv:
        remember()
    env = environment()
    for line in ask:
        asked = json.loads(line)
        if "load" in asked:
            env.load(asked["load"])
            state = env.reset()
        else:
            state = env.step(asked["step"])[0]
        told = {"text": state.feedback, "won": state["won"]}
        print(json.dumps({**told, "admissible": state["admissible_commands"]}), file=answer)
        answer.flush()


if __name__ == "__main__":
    out = sys.stdout
    # The package makes a data folder on import, and prints; neither is to be seen.
    with (
        tempfile.TemporaryDirectory() as os.environ["ALFWORLD_DATA"],
        contextlib.redirect_stdout(sys.stderr),
    ):
        serve(sys.stdin, out)
