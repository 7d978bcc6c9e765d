"""Rewards that read texts: what golden numbers leave open, and what no text can break."""

import asyncio
import json
from functools import partial

import numpy as np
import pytest
import torch
from bindings.texts import asked, rewards, said, scored
from builders import table_of
from hypothesis import given
from hypothesis import strategies as st

from agentrl.agents.chat import ChatAgent, Limits
from agentrl.algorithms import algorithm
from agentrl.algorithms.base import part
from agentrl.algorithms.text2vis import closeness, visual
from agentrl.algorithms.ton import drop_thoughts, skip_ratio
from agentrl.algorithms.train_long import TRAIN_LONG
from agentrl.answers import answer_match, given_answer
from agentrl.backends import scripted
from agentrl.config import load_run
from agentrl.env import make
from agentrl.errors import ConfigError, DataError
from agentrl.parsing import (
    answer_in,
    arithmetic,
    blocks,
    boxes,
    json_object,
    repeated_share,
    thinks_then_answers,
    unigram_bleu,
)
from agentrl.protocols import Choice
from agentrl.returns import gae_advantage
from agentrl.rollout import Rollout
from agentrl.stage import EnvPool
from agentrl.types import Status, Trajectory

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
PIECES = [*TAGS, "\\boxed{", "{", "}", "\\", "a b", " ", "é"]
TEXTS = st.text() | st.lists(st.sampled_from(PIECES)).map("".join)
DATA = {"answer": "1", "answers": ["1"], "expert": "1", "numbers": [1, 2], "target": 3}
RIGHT = {
    "clinical_crpo": "<think>hm</think><answer>so \\boxed{1}</answer>",
    "countdown_compare": "<answer>1+2</answer>",
    "countdown_compare_grpo": "<answer>(1+2)</answer>",
    "countdown_compare_ppo": "<answer>2+1</answer>",
    "expert_single_turn": "<action> 1 </action>",
    "format_length": "\\boxed{1}",
    "grit": "<think>so it is</think><rethink>yes</rethink><answer>1</answer>",
    "sparql_refine": "<answer>:1</answer>",
    "tcm_grpo": "so <answer>1</answer>",
    "text2vis": json.dumps({"answer": "1", "code": "plt.show()"}),
    "text2vis_release": json.dumps({"answer": "1", "code": "plt.show()"}),
    "ton": "<think></think>\n<answer>1</answer>",
    "train_long": "<think>hm</think><answer>1</answer>",
}
PAPERS = tuple(RIGHT)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("\\boxed{A} or \\boxed{B}", ["A", "B"]),
        ("\\boxed{\\frac{1}{2}}", ["\\frac{1}{2}"]),
        ("\\boxed{\\boxed{A}}", ["\\boxed{A}"]),
        ("\\boxed{\\{1\\}}", ["\\{1\\}"]),
        ("\\boxed{A} \\boxed{B", ["A", None]),
    ],
)
def test_boxes_balance(text, found):
    assert boxes(text) == found


@pytest.mark.parametrize(
    ("text", "read", "answer"),
    [
        (" 4 \n", "text", "4"),
        ("<answer>3</answer><answer> 4 </answer>", "answer", "4"),
        ("<answer> </answer>", "answer", None),
        ("\\boxed{3} \\boxed{4}", "boxed", "4"),
        ("\\boxed{3} \\boxed{4", "boxed", None),
        ("", "text", None),
        ("4", "answer", None),
    ],
)
def test_the_last_closed_answer_counts(text, read, answer):
    assert answer_in(text, read) == answer


def test_the_environments_own_form_is_an_answer():
    (episode,) = asked({}, [said("<answer>4</answer>", answer=" four")]).episodes
    assert given_answer(episode, "canonical") == "four"
    (silent,) = asked({}, [said("<answer>4</answer>")]).episodes
    assert given_answer(silent, "canonical") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(6 - 4) * 12", 24),
        ("1/3*3", 1),
        ("2.5*2", 5),
        ("-2+3", None),
        ("2**9", None),
        ("7//2", None),
        ("1/(2-2)", None),
        ("2(3)", None),
        ("", None),
        ("x", None),
        ("٣+1", None),
        ("1\n+2", None),
        ("(" * 120 + "1" + ")" * 120, 1),
        ("(" * 128 + ")" * 128, None),
        ("+".join("1" * 200), None),
    ],
)
def test_only_sums_are_worked_out(text, value):
    found = arithmetic(text)
    assert (found and found.value) == value


@given(TEXTS)
def test_no_text_breaks_a_reader(text):
    assert all(f"<think>{block}</think>" in text for block in blocks(text, "think"))
    assert all(box is None or f"\\boxed{{{box}}}" in text for box in boxes(text))
    assert not thinks_then_answers(text) or text.startswith("<think>")
    assert isinstance(json_object(text), dict)
    assert 0 <= unigram_bleu(text, ["a b"]) <= 1
    assert 0 <= repeated_share(text, 2) <= 1


@pytest.mark.parametrize(
    "piece", ["<answer>", "</think> ", "\\boxed{", "\\boxed{}", "{", "[1", "1+"]
)
def test_a_long_text_takes_no_time(piece):
    text = f"<think>{piece * 100_000}</answer>"
    for name in PAPERS:
        assert np.isfinite(rewards(algorithm(name), DATA, [said(text)])["rewards"]).all()


def test_similarity_and_repetition():
    assert unigram_bleu("a a b", ["a b"]) == pytest.approx(2 / 3)
    assert unigram_bleu("a", ["a b", "c"]) == pytest.approx(np.exp(-1))
    assert repeated_share("a b a b c", 2) == pytest.approx(1 / 2)
    assert repeated_share("a b a", 2) == 0


@pytest.mark.parametrize("name", PAPERS)
def test_the_gold_answer_beats_every_other_text(name):
    facts = {"parts": {"executes": 1.0}, "success": True}
    right = said(RIGHT[name], tokens=9, **facts)
    wrong = [said(text, tokens=9) for text in ("", "2", "<answer>2</answer>", "\\boxed{2")]
    best, *others = rewards(algorithm(name), DATA, [right, *wrong])["rewards"]
    assert best > max(others)


@pytest.mark.parametrize("name", PAPERS)
@given(text=TEXTS)
def test_every_text_and_no_text_has_a_finite_reward(name, text):
    failed = Trajectory(status=Status.ENV_FAILED)
    found = rewards(algorithm(name), DATA, [said(text), said(text, tokens=0), Trajectory(), failed])
    assert np.isfinite(found["rewards"]).all()


def test_a_missing_gold_answer_names_the_keys():
    with pytest.raises(DataError, match="reads 'answer', but tasks of test hold only 'words'"):
        answer_match([asked({"words": ["red"]}, [said("red")])])


def test_the_repaired_tag_of_clinical_answers():
    text = "<think>hm<\\think><answer>so \\boxed{A}</answer>"
    (found,) = scored(algorithm("clinical_crpo"), {"answer": "A"}, [said(text)])
    assert (found.reward, found.parts["format"]) == (12.0, 1.5)


def test_format_alone_and_turns_as_length():
    score = partial(rewards, algorithm("format_length"), {}, [said("\\boxed{1}", tokens=9)])
    assert score(length="off")["rewards"] == [0.5]
    assert score(length="off", tags=("<think>",))["rewards"] == [0.5]
    assert score(length="turns", max_length=2)["rewards"] == [1.5]


def test_evidence_is_quoted_before_the_second_thought():
    data = {"answer": "1", "lines": [3, 4], "count": 2}
    texts = ["[3] [4] <rethink>", "[3]<rethink>", "[9][3]<rethink>", "<rethink>[3]", "[3] [4]"]
    found = scored(algorithm("grit"), data, [said(text) for text in texts])
    assert [t.parts["evidence"] for t in found] == [1.5, 0.5, 0.0, 0.0, 0.0]


def test_what_repeats_loses():
    texts = ["a b c d e f g h " * 4, "a b"]
    found = scored(algorithm("grit"), {"answer": "1"}, [said(text) for text in texts])
    assert [t.parts["repetition"] for t in found] == [-0.5, 0.5]


def test_the_format_is_a_gate_and_an_addend_in_the_release():
    facts = {"answer": 1.0, "executes": 1.0, "intent": 1.0, "readable": 5.0, "correct": 5.0}
    spoken = [said("{}", parts=facts), said(RIGHT["text2vis"], parts=facts)]
    assert rewards(algorithm("text2vis"), DATA, spoken)["rewards"] == [0.0, 1.0]
    assert rewards(algorithm("text2vis_release"), DATA, spoken)["rewards"] == [1.0, 2.0]


def test_without_a_judge_the_number_counts():
    spoken = [
        said(json.dumps({"answer": value, "code": "plt.show()"})) for value in ("9", "x", "10")
    ]
    found = rewards(algorithm("text2vis"), {"answer": 10}, spoken)["rewards"]
    assert found == pytest.approx([0.5 * 0.6 * 0.9, 0.0, 0.5])
    assert (closeness(0.0, 0.25), closeness(0.0, 9.0)) == (0.75, 0.0)
    assert visual(5.0, 2.0) == 0.25


def test_thoughts_are_dropped_at_the_rate_and_nothing_else():
    texts = ["<think>a</think><answer>1</answer>", "no thought"] * 500
    found = drop_thoughts(texts, np.random.default_rng(0), rate=0.2)
    dropped = [text.startswith("<think>\n\n</think>") for text in found[::2]]
    assert 0.15 < np.mean(dropped) < 0.25
    assert found[1::2] == texts[1::2]
    assert found == drop_thoughts(texts, np.random.default_rng(0), rate=0.2)


def test_the_skip_ratio_counts_empty_thoughts():
    texts = ["<think>\n\n</think>x", "<think>a</think>x", "x"]
    assert skip_ratio(asked({}, [said(text) for text in texts]).episodes) == 0.5
    assert skip_ratio([]) == 0.0


def test_the_budget_shrinks_with_the_step():
    spoken = [said(tokens=200)]
    early = scored(TRAIN_LONG, {}, spoken, step=0)[0].parts["length"]
    late = scored(TRAIN_LONG, {}, spoken, step=300)[0].parts["length"]
    never = scored(TRAIN_LONG, {}, spoken, step=10**6)[0].parts["length"]
    assert (early, late, never) == pytest.approx((200 / 256, 2 - 200 / 125.44, 0.0))


def played(env, cast, strategy, step=0, attempts=2):
    """The groups of two tasks."""
    made = make(env)
    rollout = Rollout(pool=EnvPool(partial(make, env), 30.0), agent=ChatAgent(Limits()))
    choices = [Choice(task, attempts) for task in made.tasks("train", 2, 0)]
    playing = rollout.groups(choices, cast, seed=0, strategy=strategy, step=step)
    groups = asyncio.run(playing)
    rollout.pool.close()
    return groups


@pytest.mark.parametrize(("step", "told"), [(0, 256), (150, 179)])
def test_the_prompt_tells_the_budget_that_is_paid_for(tiny, step, told):
    groups = played("agentrl/Echo-v0", scripted.oracle(tiny.chat), TRAIN_LONG.strategy, step)
    shown = [span.ids for e in groups[0].episodes for span in e.main.turns[0].spans]
    text = tiny.chat.decode(np.concatenate(shown))
    assert text.count(f"at most {told} tokens") == 2
    assert {e.hint for g in groups for e in g.episodes} == {0}


def test_two_schedules_are_refused():
    load_run("echo", ["algorithm=train_long"])
    both = ["algorithm.shape.schedule=[64, 0.5, 10]", "algorithm.strategy.schedule=[64, 0.5, 10]"]
    load_run("echo", ["algorithm=train_long", *both])
    with pytest.raises(
        ConfigError, match=r"algorithm.strategy: budget_told tells another schedule"
    ):
        load_run("echo", ["algorithm=train_long", both[0]])


def test_a_turning_point_outside_of_the_limit_is_refused():
    with pytest.raises(ConfigError, match="0 < turning_point < 1"):
        load_run("echo", ["algorithm=format_length", "algorithm.shape.turning_point=1.0"])


def test_the_oracle_of_the_graph_earns_1(tiny):
    groups = played("agentrl/Sparql-v0", scripted.oracle(tiny.chat), algorithm("tcm_grpo").strategy)
    shaped = algorithm("sparql_refine").shape(groups)
    assert [e.main.reward for g in shaped for e in g.episodes] == [1.0] * 4
    side = algorithm("sparql_refine").shape.but(executable_weight=0.1, format_weight=0.05)(groups)
    assert [e.main.reward for g in side for e in g.episodes] == pytest.approx([1.15] * 4)


@pytest.mark.parametrize(
    ("found", "reward"),
    [
        ('["Ann Lee", "Bo"]', 1.0),
        ('["Bo", "Ann Lee"]', 1.0),
        ('["Ann Lee"]', 0.0),
        ("[]", 0.0),
        (None, 0.0),
        ("Ann, Lee, Bo", 1.0),
        ('{"a": 1}', 0.0),
    ],
)
def test_an_environments_own_form_of_a_set_may_be_a_list(found, reward):
    groups = [asked({"answers": ["Ann Lee", "Bo"]}, [said("", answer=found)])]
    shaped = algorithm("sparql_refine").shape.but(read="canonical")(groups)
    assert shaped[0].episodes[0].main.reward == reward


def test_the_variance_is_the_populations_with_eps_inside_the_root():
    shaped = [
        asked({}, [said(reward=float(r)) for r in (1, 0, 0, 1)]),
        asked({}, [said(reward=2.0)]),
    ]
    credit = TRAIN_LONG.advantage.but(eps=0.11)(table_of(shaped), shaped)
    assert credit.tolist() == pytest.approx([0.5 / 0.6, -0.5 / 0.6, -0.5 / 0.6, 0.5 / 0.6, 0.0])


def test_a_token_pays_for_leaving_the_reference():
    record, groups = algorithm("countdown_compare_ppo"), [asked({}, [said(tokens=2, reward=1.0)])]
    table = table_of(groups)
    columns = {"value": table.old * 0, "ref": table.old - torch.tensor([0.5, 1.0])}
    base = part(gae_advantage, lam=1.0, whiten=False)
    found = record.advantage.but(coef=0.1, base=base)(table.with_columns(**columns), groups)
    assert found["returns"].tolist() == pytest.approx([1 - 0.05 - 0.1, 1 - 0.1])
    assert {"ref", "value"} <= record.needs
