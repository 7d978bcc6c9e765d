"""What the quickstart sees, pinned: task ids, whole episodes, corpus and prompt, byte for byte.

`configs/quickstart.yaml` repeats its digits only while none of this changes.
"""

import hashlib
import json

import numpy as np
import pytest

from agentrl.env import make

QUICKSTART = {
    "hops": [2],
    "max_turns": 4,
    "expert_retry": 0.2,
    "error_chars": 48,
    "prompt": "short",
}
GAVE_UP = [
    "What is the country of the native city of :Hias_Ton?",
    "<query>SELECT ?x WHERE { :Hias_Ton :country ?a . ?a :birthPlace ?x }</query>",
    "No rows",
    "0 False False False ok",
    "<answer> :Hias_Ton</answer>",
    "",
    "0 True False False ok",
]
TRIED_AGAIN = [
    "What is the partner of the founder of :Gron_Institute?",
    "<query>SELECT ?x WHERE { :Gron_Institute :spouse ?a . ?a :founder ?x }</query>",
    "No rows",
    "0 False False False ok",
    "<query>SELECT ?x WHERE { :Gron_Institute :founder ?a . ?a :spouse ?x }</query>",
    "1 row: :Staimes_Grolai",
    "0 False False False ok",
    "<answer> :Staimes_Grolai</answer>",
    "",
    "1 True False True ok",
]
SEEN = {
    "<query>SELECT ?x WHERE { :a :b</query>": (
        """Error: error at 1:24: expected one of "$", "'", "'''",  ..."""
    ),
    "<query>ASK {}</query>": "true",
    "<query>SELECT ?x { ?x rdfs:label ?l } LIMIT 2</query>": "2 rows: :Drigreim_Land, :Liarei_Land",
    "hm": "Error: no <query> or <answer>",
    "<entity>Mira</entity>": "Error: no <query> or <answer>",
    "<query>": "Error: <query> at character 0 is not closed",
}


@pytest.fixture(scope="module")
def env():
    return make("agentrl/Sparql-v0", **QUICKSTART)


def transcript(env, task, speak):
    """An episode as lines: the question, then each text, its reply and Gymnasium's words."""
    lines = [env.reset(seed=task.seed, options={"task": task})[0]]
    over = False
    while not over:
        said = speak()
        text, reward, terminated, truncated, info = env.step(said)
        ends = f"{reward:g} {terminated} {truncated} {info['success']} {info['parse'].value}"
        lines += [said, text, ends]
        over = terminated or truncated
    return lines


def digest(value):
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def test_the_tasks_are_the_same(env):
    train, test = env.tasks("train", 4096, 0), env.tasks("test", 512, 0)
    assert (len(train), len(test)) == (3444, 512)
    assert [task.id for task in train[:2]] == ["2b68ba9c4452773e", "6c57973aac8d8298"]
    assert [task.id for task in test[:2]] == ["7fc4476037a1302c", "909b042039379c90"]
    assert digest([task.id for task in train + test]) == "1985cac15f820db0"


def test_expert_and_oracle_say_and_see_the_same(env):
    rng = np.random.default_rng(7)
    played = [transcript(env, task, lambda: env.expert(rng)) for task in env.tasks("train", 200, 0)]
    best = [transcript(env, task, env.oracle) for task in env.tasks("test", 100, 0)]
    assert played[3] == GAVE_UP
    assert played[6] == TRIED_AGAIN
    assert (digest(played), digest(best)) == ("88da3cbd222b6578", "3a8ef7a989eb6c28")


def test_other_texts_see_the_same():
    env = make("agentrl/Sparql-v0", **QUICKSTART | {"hops": (1, 2, 3), "triples": 1000})
    env.reset(options={"task": env.tasks("train", 1, 1)[0]})
    for said, seen in SEEN.items():
        env.turn = 0
        assert env.step(said)[0] == seen


def test_corpus_and_prompt_are_the_same(env):
    full = make("agentrl/Sparql-v0", hops=(1, 2, 3), triples=1000)
    assert digest(list(env.corpus())) == "3a09ee5d1c6ab278"
    assert digest(full.system_prompt) == "3ee5e437b5077cca"
    assert full.tasks("train", 1, 1)[0].id == "72a92f547bdf2bb7"
