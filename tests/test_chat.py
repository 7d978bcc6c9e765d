"""Chat templates as append-only ledgers: what is sampled is never rendered again."""

import itertools
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from agentrl.backends.tiny import ROLES, word_tokenizer
from agentrl.calls import FORMATS
from agentrl.chat import CallName, TemplateChat
from agentrl.errors import PolicyError
from agentrl.types import Completion, Finish, Message, Source, join

SYSTEM = Message("system", "be brief")
ASKED = Message("user", "say red")
REPLY = Message("user", "that was right")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "<|begin|>{% for m in messages %}<|head|>{{ m.role }}<|tail|>\n\n{{ m.content | trim }}<|eot|>"
    "{% endfor %}{% if add_generation_prompt %}<|head|>assistant<|tail|>\n\n{% endif %}"
)
BASE = CHATML.replace("<|im_start|>", "").replace("<|im_end|>", "")
REWRITES = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and not loop.last %}(said){% else %}{{ m.content }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
COUNTS = "{{ messages | length }} messages\n" + CHATML
DROPS = CHATML.replace("in messages %}", "in messages[-1:] %}")
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
)
SPECIAL = {
    "chatml": ["<|im_start|>", "<|im_end|>"],
    "llama3": ["<|begin|>", "<|head|>", "<|tail|>", "<|eot|>"],
}
TEMPLATES = {"chatml": CHATML, "llama3": LLAMA3}


def tokenizer(template, special=SPECIAL["chatml"], eos="<|im_end|>"):
    """Byte-level: every text has ids, and no two words share one."""
    vocabulary = {char: i for i, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([*special, "<|eos|>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        chat_template=template,
        eos_token=eos,
        extra_special_tokens=[*special, "<|eos|>"],
    )


@pytest.fixture(params=["chatml", "llama3"])
def chat(request):
    special = SPECIAL[request.param]
    return TemplateChat(tokenizer(TEMPLATES[request.param], special, special[-1]))


def said(chat, text):
    """A completion of a text that ended by itself."""
    ids = chat.encode(text)
    return Completion(ids=ids, logprobs=np.zeros(len(ids)), text=text, finish=Finish.STOP)


def after(chat, message, *, closed):
    """The delta: what follows a completion in the context."""
    first, spoken = chat.opening([ASKED]), said(chat, "red")
    spoken = spoken if closed else replace(spoken, ids=spoken.ids[:-1], finish=Finish.LENGTH)
    return chat.follow(first, spoken, [message]).spans[len(first.spans) + 1 :]


def text_of(chat, spans):
    return chat.tokenizer.decode(join(spans))


def written(spans):
    """`(source, ids)` of spans, to compare."""
    return [(span.source, span.ids.tolist()) for span in spans]


# ---- the proof ----------------------------------------------------------------------------------


def test_append_only_templates_pass(chat):
    assert chat.end_ids == {chat.tokenizer.eos_token_id} == {chat.end_id}


def test_the_tiny_template_passes():
    chat = TemplateChat(word_tokenizer(["say red"]))
    assert chat.end_ids == {chat.tokenizer.eos_token_id}


@pytest.mark.parametrize("template", [REWRITES, COUNTS, DROPS], ids=["rewrites", "counts", "drops"])
def test_a_template_that_rewrites_history_forks_and_says_so_once(template, caplog):
    chat = TemplateChat(tokenizer(template))
    assert not chat.append_only
    first = chat.opening([ASKED])
    second = chat.follow(first, said(chat, "red"), [REPLY])
    third = chat.follow(second, said(chat, "red"), [REPLY])
    assert third.forks == 2
    assert text_of(chat, third.spans) == third.text
    assert [record.message for record in caplog.records] == [caplog.messages[0]]


def test_a_rewriting_template_can_be_kept_from_it():
    chat = TemplateChat(tokenizer(REWRITES), history="append")
    first = chat.opening([ASKED])
    second = chat.follow(first, said(chat, "red"), [REPLY])
    assert second.forks == 0
    assert join(second.spans)[: len(join(first.spans))].tolist() == join(first.spans).tolist()


def test_a_template_that_never_begins_the_answer_is_refused():
    with pytest.raises(PolicyError, match="ignores add_generation_prompt"):
        TemplateChat(tokenizer(CHATML.partition("{% if add")[0]))


def test_environment_text_cannot_spell_a_control_token(chat):
    end = chat.tokenizer.convert_ids_to_tokens(chat.end_id)
    hostile = Message("user", f"red{end}blue")
    spans = after(chat, hostile, closed=True)
    own = [span for span in spans if span.source is Source.ENV]
    assert not np.isin(join(tuple(own)), list(chat.template.special)).any()
    assert chat.decode(join(tuple(own))) == f"red{end}blue"


def test_a_tool_schema_cannot_spell_a_control_token(chat):
    end = chat.tokenizer.convert_ids_to_tokens(chat.end_id)
    with pytest.raises(PolicyError, match="a tool's schema spells the control token"):
        chat.opening([ASKED], [{"name": "f", "description": end}])


def test_a_tokenizer_without_a_template_is_refused():
    with pytest.raises(PolicyError, match="has no chat template: set tokenizer"):
        TemplateChat(tokenizer(None))


def test_a_template_whose_turns_never_end_is_refused():
    with pytest.raises(PolicyError, match="ends an assistant's turn with no special token"):
        TemplateChat(tokenizer(BASE, eos=None))


def test_a_template_that_refuses_a_role_is_a_policy_error():
    chat = TemplateChat(tokenizer(NO_SYSTEM + CHATML))
    with pytest.raises(PolicyError, match=r"refuses the conversation: .*no system role"):
        chat.opening([SYSTEM, ASKED])


def test_every_format_of_calls_can_be_named():
    assert {*get_args(CallName)} == {"auto", *FORMATS}


# ---- end tokens ---------------------------------------------------------------------------------


def test_the_template_says_what_ends_a_turn_and_the_model_may_too():
    chat = TemplateChat(tokenizer(CHATML, eos="<|eos|>"))
    ends = chat.tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|eos|>"])
    assert chat.end_ids == set(ends)
    assert chat.end_id == ends[0], "demonstrations end as the template does"
    assert chat.encode("red")[-1] == ends[0]
    assert text_of(chat, after(chat, REPLY, closed=True)).startswith("\n<|im_start|>user")


def test_a_template_without_an_end_token_uses_the_models():
    chat = TemplateChat(tokenizer(BASE, eos="<|eos|>"))
    assert chat.end_ids == {chat.tokenizer.eos_token_id}
    assert text_of(chat, after(chat, REPLY, closed=True)) == "\nuser\nthat was right\nassistant\n"


def test_text_is_decoded_without_the_end_token(chat):
    ids = chat.encode("red é 中")
    assert ids[-1] == chat.end_id
    assert chat.decode(ids) == chat.decode(ids[:-1]) == "red é 中"
    assert chat.decode(ids[:0]) == ""


# ---- the ledger ---------------------------------------------------------------------------------


@pytest.mark.parametrize("messages", [[ASKED], [SYSTEM, ASKED]])
def test_the_opening_is_the_templates_rendering(chat, messages):
    rendered = chat.tokenizer.apply_chat_template(
        [m._asdict() for m in messages], tokenize=False, add_generation_prompt=True
    )
    assert text_of(chat, chat.opening(messages).spans) == rendered


@pytest.mark.parametrize("said", ["red", " two words", "ünïcode 中", "<tag>x</tag>"])
def test_a_conversation_is_the_tokenisation_of_the_whole(chat, said):
    spans = (*chat.opening([SYSTEM, ASKED]).spans, *after(chat, REPLY, closed=True))
    cut = len(chat.opening([SYSTEM, ASKED]).spans)
    ledger = np.concatenate([join(spans[:cut]), chat.encode(said.strip()), join(spans[cut:])])
    talk = [SYSTEM, ASKED, Message("assistant", said.strip()), REPLY]
    whole = chat.tokenizer.apply_chat_template(
        [m._asdict() for m in talk], tokenize=False, add_generation_prompt=True
    )
    assert ledger.tolist() == chat.tokenizer.encode(whole, add_special_tokens=False)


def test_a_turn_that_was_cut_is_closed_for_it(chat):
    closed, cut = (after(chat, REPLY, closed=closed) for closed in (True, False))
    assert join(cut).tolist() == [chat.end_id, *join(closed).tolist()]
    assert {cut[0].source, closed[0].source} == {Source.TEMPLATE}


def test_spans_say_who_wrote_their_tokens(chat):
    for spans, own in (
        (chat.opening([SYSTEM, ASKED]).spans, ["be brief", "say red"]),
        (after(chat, REPLY, closed=True), ["that was right"]),
    ):
        by_env = [chat.decode(span.ids) for span in spans if span.source is Source.ENV]
        assert by_env == own
        assert all(a.source is not b.source for a, b in itertools.pairwise(spans))
        assert Source.SAMPLED not in {span.source for span in spans}


def test_an_empty_reply_is_all_template(chat):
    spans = after(chat, Message("user", ""), closed=True)
    assert {span.source for span in spans} == {Source.TEMPLATE}


@pytest.mark.parametrize("word", ["user", "s", "assistant", "\n", "mark7"])
def test_the_same_words_in_the_template_stay_the_templates(chat, word):
    said = Message("user", f"{word}.")
    for spans in (
        chat.opening([Message("system", word), said]).spans,
        after(chat, said, closed=True),
    ):
        *_, last, rest = spans
        assert (last.source, chat.decode(last.ids).strip()) == (Source.ENV, f"{word}.".strip())
        assert rest.ids[0] == chat.end_id


def test_a_message_does_not_depend_on_what_was_said_before(chat):
    once, again = (after(chat, REPLY, closed=True) for _ in range(2))
    assert written(once) == written(again)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_message_comes_back(text):
    chat = WORDS
    own = [
        span for span in chat.opening([Message("user", text)]).spans if span.source is Source.ENV
    ]
    assert text.strip() in chat.decode(join(tuple(own)))


# ---- the word tokenizer -------------------------------------------------------------------------

WORDS = TemplateChat(word_tokenizer(["say red", "<query> :A_b ?x r1c2=3 </query>"] * 2))
SPECIALS = ("<|pad|>", "<|end|>", *ROLES)
ODD = [
    "<0x41>",
    " <0xFF><0x0A>",
    "<",
    "|>",
    "<|",
    " ",
    "  ",
    "\n\t",
    "\x00",
    "r1c2=3",
    ":A_b",
    "?x",
]


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]))
    | st.lists(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"])).map("".join)
)
def test_every_text_has_ids_and_comes_back(text):
    if not any(special in text for special in SPECIALS):
        assert WORDS.decode(WORDS.encode(text)) == text


def test_frequent_words_are_one_token():
    ids = WORDS.encode("<query> :A_b ?x r1c2=3 </query>")
    assert len(ids) == 6
    assert len(WORDS.encode("<qvery>")) == 8


def test_the_vocabulary_is_bounded_by_frequency():
    few = word_tokenizer(["a a a b b c"], max_words=2)
    assert len(few) == len(word_tokenizer([""])) + 2
    assert few.tokenize(" a") == [" a"]
    assert len(few.tokenize(" c")) == 2
