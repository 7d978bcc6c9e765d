"""The generators: what a seed decides, what a repertoire leaves out, and how texts become ids."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from templates import chat

from agentrl.certify.conversations import (
    Act,
    as_record,
    from_record,
    generate,
    reworded,
)
from agentrl.certify.features import explored
from agentrl.certify.splits import SPLITS, sampled_ids
from agentrl.certify.witness import alphabet_of

SEEDS = st.integers(0, 2**32)
QWEN = explored(chat("qwen3"))[1]


def script(seed, **changes):
    return generate(np.random.default_rng(seed), QWEN._replace(**changes))


def spoken(script):
    """All that the environment says."""
    replies = [reply for act in script.acts for reply in act.replies]
    return [script.asked, script.system, *(reply.content for reply in replies)]


def roles(script):
    return [tuple(reply.role for reply in act.replies) for act in script.acts]


def scripts(count=400, **changes):
    return [script(seed, **changes) for seed in range(count)]


@given(SEEDS)
def test_a_seed_decides_everything_and_a_record_holds_it(seed):
    made = script(seed)
    assert made == script(seed)
    assert from_record(json.loads(json.dumps(as_record(made)))) == made


def test_a_repertoire_leaves_out_what_a_template_refuses():
    made = scripts(system=False, tools=False)
    assert not any(script.system or script.tools for script in made)
    assert {role for script in made for act in roles(script) for role in act} == {"user"}
    made = scripts(parallel=False, questions=False, corrected=False)
    assert {act for script in made for act in roles(script)} == {("user",), ("tool",)}


def test_everything_that_breaks_ledgers_is_among_a_few_hundred():
    made = scripts()
    kinds = {act for script in made for act in roles(script)}
    assert {("tool", "tool"), ("tool", "user"), ("tool",), ("user",)} <= kinds
    acts = [act for script in made for act in script.acts]
    assert {act.split for act in acts} == set(SPLITS)
    assert {act.closed for act in acts} == {True, False}
    assert any(not act.text for act in acts)
    texts = [text for script in made for text in spoken(script)]
    for piece in ("<|im_end|>", "\x00", "\u200d", "\u05e9", "e\u0301", "assistant", "\ue001"):
        assert any(piece in text for text in texts), piece
    assert any(text != text.strip() for text in texts)
    assert max(map(len, texts)) > 2000
    assert "" in texts


@given(SEEDS)
def test_other_words_change_nothing_but_the_environments_words(seed):
    made = script(seed)
    other = reworded(made)
    assert roles(other) == roles(made)
    assert [act._replace(replies=()) for act in other.acts] == [
        act._replace(replies=()) for act in made.acts
    ]
    pairs = [pair for pair in zip(spoken(made), spoken(other), strict=True) if any(pair)]
    assert all(before != after for before, after in pairs)


@pytest.mark.parametrize("name", ["qwen3", "mistral-pieces", "phi"])
@given(SEEDS, st.sampled_from(sorted(SPLITS)), st.booleans(), st.text(max_size=30))
def test_a_turn_ends_with_its_first_end_token_or_has_none(name, seed, split, closed, text):
    alphabet = alphabet_of(chat(name))
    ids = sampled_ids(Act(text, (), closed, split, seed), alphabet).tolist()
    ends = [token in alphabet.ends for token in ids]
    assert ends == [False] * (len(ids) - closed) + [True] * closed
    assert all(0 <= token < alphabet.size for token in ids)


@given(SEEDS, st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30))
def test_pieces_are_other_ids_of_the_same_text(seed, text):
    alphabet = alphabet_of(chat("qwen3"))
    ids = sampled_ids(Act(text, split="pieces", seed=seed), alphabet)
    assert chat("qwen3").decode(ids) == text


def test_pieces_are_not_what_the_tokenizer_would_say():
    alphabet = alphabet_of(chat("qwen3"))
    turns = [Act("the weather in Oslo", split="pieces", seed=seed) for seed in range(20)]
    whole = sampled_ids(Act("the weather in Oslo"), alphabet)
    assert any(len(sampled_ids(turn, alphabet)) > len(whole) for turn in turns)


def test_a_cut_turn_loses_its_end_and_more():
    alphabet = alphabet_of(chat("qwen3"))
    whole = sampled_ids(Act("the weather in Oslo"), alphabet)[:-1]
    cuts = [
        sampled_ids(Act("the weather in Oslo", closed=False, seed=seed), alphabet)
        for seed in range(50)
    ]
    assert all(cut.tolist() == whole[: len(cut)].tolist() for cut in cuts)
    assert {len(cut) for cut in cuts} == set(range(len(whole) + 1))
