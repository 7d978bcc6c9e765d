"""Exact tokens: every property on generated conversations of every template, and in the loss."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders import error, gradients, learner_of
from runs import cli, one_line
from templates import MUTE, SETTINGS, TEMPLATES, chat, make

from agentrl.backends.tiny import tiny_model
from agentrl.certify.certificate import (
    MEANINGS,
    Certificate,
    certify,
    examine,
    misplaced,
    reweighted,
)
from agentrl.certify.conversations import from_record, generate
from agentrl.certify.features import explored
from agentrl.certify.witness import play
from agentrl.chat import TemplateChat
from agentrl.cli import verify
from agentrl.errors import PolicyError
from agentrl.layouts import LAYOUTS
from agentrl.table import build_table
from agentrl.types import Source, Span

REGRESSIONS = Path(__file__).parent / "regressions" / "conversations.jsonl"
FAILED = [json.loads(line) for line in REGRESSIONS.read_text().splitlines()]
QUIET = {"several turns", "cut turn", "empty turn", "control token in environment text"}
CALLS = {"tools listed", "tool call", "text beside a call", "parallel calls", "malformed call"}
BEHIND = {"question behind a result", "result for a malformed call"}
"""Features by what they share; thinking is for itself."""


@pytest.fixture(autouse=True)
def quiet():
    """That a template rewrites history is said once per chat; here it is expected."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


# ---- every template -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_property_holds(name):
    certificate = certify(chat(name), conversations=60, seed=1)
    assert certificate.exact, certificate.record()["first"]
    assert certificate.conversations == 60


@pytest.mark.parametrize("name", ["qwen3", "qwen3-plain", "mistral", "counts"])
def test_a_chat_that_only_appends_is_exact_too(name):
    settings = {**SETTINGS.get(name, {}), "history": "append"}
    certificate = certify(TemplateChat(TEMPLATES[name](), **settings), conversations=20)
    assert certificate.exact, certificate.record()["first"]
    assert not certificate.forked


def test_conversations_that_once_failed_hold():
    for name in {record["template"] for record in FAILED}:
        scripts = [from_record(r["script"]) for r in FAILED if r["template"] == name]
        certificate = Certificate(name=name)
        examine(chat(name), scripts, certificate)
        assert certificate.exact, certificate.record()["first"]


REWRITES = {
    "qwen3": {"thinking", "thinking before a call"},
    "forgets": QUIET | {"system role", "thinking"},
    "counts": QUIET | {"system role", "thinking"},
    "joins-newline": QUIET | {"system role", "thinking"},
    "mistral": CALLS | {"system role", "thinking before a call", "question behind a result"},
    "mistral-pieces": CALLS | {"system role", "thinking before a call", "question behind a result"},
    "qwen3-plain": QUIET | CALLS | {"system role", "thinking", "thinking before a call", *BEHIND},
}
REFUSES = {
    "gemma": {"system role": "no system role"},
    "mistral": {"result for a malformed call": "roles must alternate"},
    "mistral-pieces": {"result for a malformed call": "roles must alternate"},
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_template_does_with_every_feature(name):
    features, _ = explored(chat(name))
    does = {feature.name: feature.template for feature in features}
    rewrites = {feature for feature, what in does.items() if what.startswith("rewrites: ")}
    refuses = {feature: what for feature, what in does.items() if what.startswith("refuses: ")}
    assert rewrites == REWRITES.get(name, set())
    assert refuses.keys() == REFUSES.get(name, {}).keys()
    assert all(REFUSES[name][feature] in what for feature, what in refuses.items())
    for feature in features:
        assert feature.library.startswith("forks into ") == (feature.name in rewrites)


def test_a_model_without_tool_calls_is_told_so():
    features, repertoire = explored(chat("chatml"))
    assert ("tool call", "has no format for them", "keeps them as plain text") in features
    assert not repertoire.tools


# ---- bad input ----------------------------------------------------------------------------------


def test_a_template_that_never_begins_an_answer_is_refused():
    with pytest.raises(PolicyError, match="ignores add_generation_prompt"):
        TemplateChat(make(MUTE, ("<|im_start|>", "<|im_end|>"), eos="<|im_end|>"))


def test_a_tokenizer_without_a_template_is_refused():
    with pytest.raises(PolicyError, match="has no chat template"):
        TemplateChat(make(None, ("<|im_end|>",), eos="<|im_end|>"))


# ---- broken lines are found ---------------------------------------------------------------------


class Broken(TemplateChat):
    """A chat whose dialogues come out wrong."""

    def __init__(self, name, spoil):
        super().__init__(TEMPLATES[name](), **SETTINGS.get(name, {}))
        self.spoil = spoil

    def follow(self, dialogue, completion, messages):
        return self.spoil(self, dialogue, super().follow(dialogue, completion, messages))


def retokenised(chat, before, after):
    """What was sampled, as the tokenizer would have said it."""
    text = chat.tokenizer.decode(np.concatenate([span.ids for span in after.spans]))
    ids = np.array(chat.tokenizer.encode(text, add_special_tokens=False), np.int64)
    return replace(after, spans=(Span(ids=ids, source=Source.TEMPLATE),))


def short(chat, before, after):
    """A delta without its first token."""
    place = len(before.spans) + 1
    first = after.spans[place]
    lost = replace(first, ids=first.ids[1:])
    return replace(after, spans=(*after.spans[:place], lost, *after.spans[place + 1 :]))


def disowned(chat, before, after):
    """Environment text that counts as the template's."""
    place = len(before.spans) + 1
    rest = tuple(replace(span, source=Source.TEMPLATE) for span in after.spans[place:])
    return replace(after, spans=(*after.spans[:place], *rest))


def claimed(chat, before, after):
    """All of the delta as the environment's."""
    place = len(before.spans) + 1
    rest = tuple(replace(span, source=Source.ENV) for span in after.spans[place:])
    return replace(after, spans=(*after.spans[:place], *rest))


def unforked(chat, before, after):
    """A rewritten context that counts as the same sample."""
    return replace(after, forks=0)


def restless(chat, before, after):
    """A fork that nothing called for."""
    return replace(after, forks=after.forks + 1)


def refusing(chat, before, after):
    raise PolicyError("not today")


def forgetful(chat, before, after):
    """A dialogue that lost its first message."""
    return replace(after, messages=after.messages[1:])


@pytest.mark.parametrize(
    ("name", "spoil", "checks"),
    [
        ("chatml", retokenised, {"ledger"}),
        ("chatml", short, {"boundary"}),
        ("chatml", disowned, {"environment"}),
        ("chatml", claimed, {"environment", "controls"}),
        ("counts", unforked, {"ledger", "forks"}),
        ("chatml", restless, {"forks"}),
        ("chatml", refusing, {"refusals"}),
        ("chatml", forgetful, {"ledger"}),
    ],
)
def test_a_broken_line_is_found(name, spoil, checks):
    certificate = certify(Broken(name, spoil), conversations=30)
    assert checks <= set(certificate.failed)
    assert certificate.first.keys() == certificate.failed.keys()


def test_control_tokens_from_the_environment_are_found(monkeypatch):
    spoilt = TemplateChat(TEMPLATES["chatml"]())
    monkeypatch.setattr(spoilt.template, "_literally", lambda text: [spoilt.end_id])
    assert "controls" in certify(spoilt, conversations=60).failed


def played(name, count=6, seed=0):
    """Some conversations that nothing ended early."""
    rng, repertoire = np.random.default_rng(seed), explored(chat(name))[1]
    found = play(chat(name), [generate(rng, repertoire) for _ in range(count)])
    return [one for one in found if not one.refused]


@pytest.mark.parametrize("column", ["ids", "position", "behaviour"])
def test_a_wrong_column_is_found(column):
    conversations = played("qwen3")
    table = build_table([one.group for one in conversations])
    assert not list(misplaced(table, conversations))
    wrong = table.with_columns(**{column: table.columns[column] + 1})
    assert len(list(misplaced(wrong, conversations))) == len(conversations)


def test_a_row_too_many_is_found():
    conversations = played("qwen3")
    table = build_table([one.group for one in conversations])
    assert list(misplaced(table, conversations[:-1])) == [
        (conversations[-2], f"{len(table)} rows for {count(conversations[:-1])} sampled tokens")
    ]


def count(conversations):
    return sum(len(said.ids) for one in conversations for said in one.completions)


def test_a_weight_that_changed_is_found():
    conversations = played("qwen3")
    table = build_table([one.group for one in conversations])
    other = table.with_columns(old=table.old + (table.group == 1))
    assert not list(reweighted(table, table))
    assert [number for number, _ in reweighted(table, other)] == [1]


# ---- the command --------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A saved tokenizer, without a model."""
    TEMPLATES["qwen3"]().save_pretrained(tmp_path)
    return str(tmp_path)


def said_by(*arguments):
    """The exit code and the output of `agentrl verify tokens`."""
    return cli("verify", "tokens", "--conversations", 5, *arguments)[:2]


def test_the_command_certifies(folder):
    code, text = said_by("--model", folder)
    assert code == 0
    assert f"{folder}: a turn ends with '<|im_end|>'; tool calls are hermes" in text
    assert "rewrites: '" in text
    assert "-> the conversation forks into 2 samples; every token is trained where" in text
    assert all(f"  {name:<12} holds " in text for name in MEANINGS)
    assert text.endswith("\ncertified\n")


def test_the_command_prints_json(folder):
    code, text = said_by("--model", folder, "--json", "--seed", "3", "--no-thinking")
    record = json.loads(text)
    assert (code, record["exact"], record["conversations"], record["seed"]) == (0, True, 5, 3)
    assert "rewrites" in record["features"][0]["template"], "it is told not to think"


def test_the_command_fails_where_a_property_breaks(folder, monkeypatch):
    monkeypatch.setattr(verify, "TemplateChat", lambda *_, **__: Broken("chatml", short))
    code, text = said_by("--model", folder)
    assert code == 1
    assert "boundary     BROKEN in " in text
    assert "\nboundary, first: the tokens of " in text
    script = text.partition("  script: ")[2].partition("\n")[0]
    assert play(chat("chatml"), [from_record(json.loads(script))])[0].script.acts
    assert text.endswith("\nNOT certified: report the scripts above\n")


@pytest.mark.parametrize("model", ["./nowhere", "/nowhere", "~/nowhere/at/all", "a/b/c"])
def test_a_folder_that_is_not_there_is_one_line(model):
    code, printed, message = cli("verify", "tokens", "--model", model)
    assert (code, printed) == (2, "")
    assert one_line(message).startswith(f"error: there is no folder {model!r}: give one")


def test_a_folder_without_a_tokenizer_is_one_line(tmp_path):
    code, _, message = cli("verify", "tokens", "--model", tmp_path)
    assert code == 2
    assert f"cannot load the tokenizer of '{tmp_path}'" in one_line(message)


def test_an_unknown_format_of_calls_is_one_line(folder):
    code, _, message = cli("verify", "tokens", "--model", folder, "--calls", "hermess")
    assert code == 2
    assert "did you mean 'hermes'?" in one_line(message)


# ---- in the loss --------------------------------------------------------------------------------


def learner_for(name, **options):
    """A learner of a small model that reads a template's tokens."""
    size = len(TEMPLATES[name]())
    tiny = SimpleNamespace(tokenizer=TEMPLATES[name](), folder="")
    model = tiny_model(size, hidden_size=32, layers=2, heads=2, context=8192, seed=0)
    return learner_of(tiny, "reinforce", model=model, **options)


def conversations_table(name, learner, order=1):
    """The table of a few short conversations, every token's credit its own."""
    found = [one for one in played(name, 24) if total(one) < 400][:6][::order]
    table = build_table([one.group for one in found])
    return learner.annotate(table).with_columns(advantage=(50 * table.behaviour).sin())


def total(one):
    """Tokens of a conversation's longest context."""
    return max(len(given) for given in one.contexts)


IN_THE_LOSS = ("qwen3", "mistral", "phi")


@pytest.mark.parametrize("name", IN_THE_LOSS)
def test_tokens_that_were_not_sampled_have_no_gradient(name):
    learner = learner_for(name)
    table, seen = conversations_table(name, learner), []
    norm = learner.model.model.norm
    norm.register_forward_hook(lambda _, __, out: (out.retain_grad(), seen.append(out))[0])
    gradients(learner, table)
    batches = LAYOUTS["padded"]().batches(table, learner.token_budget)
    for hidden, batch in zip(seen, batches, strict=True):
        predicts = torch.zeros(hidden.shape[:2], dtype=torch.bool)
        predicts[batch.line, batch.position - 1] = True
        moved = hidden.grad.abs().sum(-1)
        assert not moved[~predicts].any(), "exactly zero"
        assert moved[predicts].all()


@pytest.mark.parametrize("name", IN_THE_LOSS)
def test_no_layout_changes_the_gradient(name):
    found = []
    for layout, budget in (("padded", 10**6), ("padded", 1), ("packed", 500), ("tree", 10**6)):
        learner = learner_for(name, layout=layout, token_budget=budget)
        found.append(gradients(learner, conversations_table(name, learner)))
    assert max(error(other, found[0]) for other in found[1:]) < 1e-5


@pytest.mark.parametrize("name", IN_THE_LOSS)
def test_no_order_changes_the_loss_or_its_gradient(name):
    learner = learner_for(name)
    tables = [conversations_table(name, learner, order) for order in (1, -1)]
    losses = [sum(loss.item() for loss, _ in learner.losses(table)) for table in tables]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert error(*(gradients(learner, table) for table in tables)) < 1e-5
