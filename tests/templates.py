"""Small tokenizers whose chat templates behave as those of well-known model families.

No hub is reachable from the tests, so each family's *behaviour* is written down here: what it puts
before a turn, what it strips, merges, moves or refuses, and how its tokenizer cuts text.
`TEMPLATES` maps a name to a function that makes the tokenizer once; `SETTINGS` holds what
`TemplateChat` is given besides it. The last third were made to break an append-only ledger.
"""

import json
from functools import cache, partial

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from agentrl.chat import TemplateChat

WORDS = """the weather in Oslo is sunny today and the answer to your question was found by a tool
user assistant system tool model think result name arguments parameters function content thinking
query city London Paris search red green blue please call with id value true false null number"""
PIECES = (
    '{"name": "search", "arguments": {"query": "the weather in Oslo", "limit": 3}}\n',
    '\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>',
    "<think>\nWell, I think so.\n</think>\n\nThe answer is 42.\n\n",
    "  indented\n\n\ncode: x = f(1);\n}\n]\n",
)
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Words, numbers, and marks that take the newlines behind them along, as large models cut text."""


@cache
def byte_level():
    """A byte-level BPE with a few hundred merges, as JSON: Qwen, Llama 3 and tekken are such."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    raw.train_from_iterator([WORDS, *PIECES] * 3, trainer)
    return raw.to_str()


@cache
def sentence_piece():
    """A Metaspace BPE with bytes to fall back on: a piece begins with a space that nobody wrote."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600, show_progress=False, special_tokens=[f"<0x{i:02X}>" for i in range(256)]
    )
    raw.train_from_iterator([*WORDS.split(), *PIECES, " ", "\n"] * 3, trainer)
    trained = json.loads(raw.to_str())
    trained["model"] |= {"byte_fallback": True, "fuse_unk": False}
    trained["added_tokens"] = []
    trained["decoder"] = json.loads(_decoder_of_pieces())
    return json.dumps(trained)


def _decoder_of_pieces():
    raw = Tokenizer(models.BPE())
    raw.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1, right=0),
        ]
    )
    return json.dumps(json.loads(raw.to_str())["decoder"])


def make(template, special, *, eos, bos=None, plain=(), rstrip=False, base=byte_level):
    """A tokenizer with control tokens `special`, other added tokens `plain`, and a template."""
    raw = Tokenizer.from_str(base())
    raw.add_special_tokens(
        [AddedToken(mark, special=True, normalized=False, rstrip=rstrip) for mark in special]
    )
    raw.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in plain])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        chat_template=template,
        bos_token=bos,
        eos_token=eos,
        extra_special_tokens=[mark for mark in special if mark not in (bos, eos)],
        clean_up_tokenization_spaces=False,
    )


# ---- ChatML and its heirs -----------------------------------------------------------------------

CHATML_MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TOOL_MARKS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
THINK_MARKS = ("<think>", "</think>")
PROMPT = "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
CHATML = (
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{%- endfor %}" + PROMPT
)
TOOLS_BLOCK = """
{%- macro offer(tools) %}
{{- '# Tools\n\nThese functions may be called:\n<tools>' }}
{%- for tool in tools %}{{ '\n' + tool | tojson }}{% endfor %}
{{- '\n</tools>\n\nA call is a JSON object in tags:\n<tool_call>\n' }}
{{- '{"name": <name>, "arguments": <object>}\n</tool_call>' }}
{%- endmacro %}
"""
CALLS = """
{%- macro calls(m, lead) %}
{%- for item in m.tool_calls %}
  {%- set call = item.function if item.function else item %}
  {{- ('\n' if not loop.first or lead else '') + '<tool_call>\n{"name": "' + call.name }}
  {{- '", "arguments": ' + call.arguments | tojson + '}\n</tool_call>' }}
{%- endfor %}
{%- endmacro %}
"""
RESULT = """
  {%- elif m.role == 'tool' %}
    {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
      {{- '<|im_start|>user' }}
    {%- endif %}
    {{- '\n<tool_response>\n' + m.content + '\n</tool_response>' }}
    {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
      {{- '<|im_end|>\n' }}
    {%- endif %}
"""
QWEN25 = (
    TOOLS_BLOCK
    + CALLS
    + """
{%- set given = messages[0].content if messages[0].role == 'system' else 'You are helpful.' %}
{{- '<|im_start|>system\n' + given }}
{%- if tools %}{{ '\n\n' + offer(tools) }}{% endif %}
{{- '<|im_end|>\n' }}
{%- for m in messages %}
  {%- if m.role == 'user' or (m.role == 'system' and not loop.first)
         or (m.role == 'assistant' and not m.tool_calls) %}
    {{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}
  {%- elif m.role == 'assistant' %}
    {{- '<|im_start|>assistant' + ('\n' + m.content if m.content else '') }}
    {{- calls(m, true) + '<|im_end|>\n' }}
"""
    + RESULT
    + """
  {%- endif %}
{%- endfor %}
"""
    + PROMPT
)
"""A default system prompt, tools in the system turn, consecutive results merged in a user turn."""

QWEN3 = (
    TOOLS_BLOCK
    + CALLS
    + """
{%- set own = messages[0].content if messages[0].role == 'system' else '' %}
{%- if tools %}
  {{- '<|im_start|>system\n' + (own + '\n\n' if own else '') + offer(tools) + '<|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
  {{- '<|im_start|>system\n' + own + '<|im_end|>\n' }}
{%- endif %}
{%- set asked = namespace(last=messages | length - 1, found=false) %}
{%- for m in messages[::-1] %}
  {%- set index = messages | length - 1 - loop.index0 %}
  {%- if not asked.found and m.role == 'user' and m.content is string and not
         (m.content.startswith('<tool_response>') and m.content.endswith('</tool_response>')) %}
    {%- set asked.found = true %}{%- set asked.last = index %}
  {%- endif %}
{%- endfor %}
{%- for m in messages %}
  {%- set said = m.content if m.content is string else '' %}
  {%- if m.role == 'user' or (m.role == 'system' and not loop.first) %}
    {{- '<|im_start|>' + m.role + '\n' + said + '<|im_end|>\n' }}
  {%- elif m.role == 'assistant' %}
    {%- set text = namespace(thought='', said=said) %}
    {%- if m.reasoning_content is string %}
      {%- set text.thought = m.reasoning_content %}
    {%- elif '</think>' in said %}
      {%- set text.thought = said.split('</think>')[0].rstrip('\n').split('<think>')[-1] %}
      {%- set text.thought = text.thought.lstrip('\n') %}
      {%- set text.said = said.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- '<|im_start|>assistant\n' }}
    {%- if loop.index0 > asked.last and (loop.last or text.thought) %}
      {{- '<think>\n' + text.thought.strip('\n') + '\n</think>\n\n' + text.said.lstrip('\n') }}
    {%- else %}
      {{- text.said }}
    {%- endif %}
    {{- calls(m, text.said) + '<|im_end|>\n' }}
"""
    + RESULT
    + """
  {%- endif %}
{%- endfor %}
"""
    + PROMPT
    + """
{%- if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}
  {{- '<think>\n\n</think>\n\n' }}
{%- endif %}
"""
)
"""Thinking is dropped from turns before the last question, and kept between tool calls."""

HERMES = (
    TOOLS_BLOCK
    + CALLS
    + """
{{- bos_token }}
{%- set own = messages[0].content if messages[0].role == 'system' else '' %}
{%- if tools %}
  {{- '<|im_start|>system\nYou call functions. ' + offer(tools) + '<|im_end|>\n' }}
{%- endif %}
{%- for m in messages %}
  {%- if m.role == 'assistant' and m.tool_calls %}
    {{- '<|im_start|>assistant\n' + calls(m, false) + '<|im_end|>\n' }}
  {%- elif m.role == 'tool' %}
    {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
      {{- '<|im_start|>tool\n' }}
    {%- endif %}
    {{- '<tool_response>\n' + m.content + '\n</tool_response>' }}
    {{- '<|im_end|>\n' if loop.last or loop.nextitem.role != 'tool' else '\n' }}
  {%- else %}
    {{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}
  {%- endif %}
{%- endfor %}
"""
    + PROMPT
)
"""Results in a turn of their own role; what an assistant says beside its calls is dropped."""

# ---- Llama, Mistral, Gemma ----------------------------------------------------------------------

LLAMA_MARKS = (
    *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<|eot_id|>", "<|eom_id|>", "<|python_tag|>"),
)
LLAMA3 = """
{%- macro head(role) %}
  {{- '<|start_header_id|>' + role + '<|end_header_id|>\n\n' }}
{%- endmacro %}
{{- bos_token + head('system') }}
{%- set own = messages[0].role == 'system' %}
{%- set rest = messages[1:] if own else messages %}
{%- if tools %}{{ 'Environment: ipython\n' }}{% endif %}
{{- 'Knowledge until: December 2023\nToday: 26 Jul 2024\n\n' }}
{{- (messages[0].content | trim if own else '') + '<|eot_id|>' }}
{%- set asks = namespace(first=tools) %}
{%- for m in rest %}
  {%- if asks.first %}
    {%- if m.role != 'user' %}
      {{- raise_exception('tools stand in the first user message, and there is none') }}
    {%- endif %}
    {{- head('user') + 'Answer with a JSON call of one of these functions, of the form ' }}
    {{- '{"name": function name, "parameters": dictionary}.\n\n' }}
    {%- for tool in tools %}{{ tool | tojson(indent=4) + '\n\n' }}{% endfor %}
    {{- m.content | trim + '<|eot_id|>' }}
    {%- set asks.first = false %}
  {%- elif m.role == 'tool' or m.role == 'ipython' %}
    {{- head('ipython') + m.content | tojson + '<|eot_id|>' }}
  {%- elif m.tool_calls %}
    {%- if m.tool_calls | length != 1 %}
      {{- raise_exception('this model makes one tool call at a time') }}
    {%- endif %}
    {%- set call = m.tool_calls[0].function %}
    {{- head('assistant') + '{"name": "' + call.name + '", "parameters": ' }}
    {{- call.arguments | tojson + '}<|eot_id|>' }}
  {%- else %}
    {{- head(m.role) + m.content | trim + '<|eot_id|>' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ head('assistant') }}{% endif %}
"""
"""Headers, trimmed contents, a quoted result in the role `ipython`, never two calls at once."""

MISTRAL_MARKS = (
    *("<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
)
MISTRAL = """
{%- set own = messages[0].content if messages[0].role == 'system' else none %}
{%- set rest = messages[1:] if messages[0].role == 'system' else messages %}
{%- set count = namespace(said=0, asked=0, users=0) %}
{%- for m in rest %}
  {%- if m.role == 'user' or (m.role == 'assistant' and not m.tool_calls) %}
    {%- if (m.role == 'user') != (count.said % 2 == 0) %}
      {{- raise_exception('roles must alternate: user, assistant, user, assistant') }}
    {%- endif %}
    {%- set count.said = count.said + 1 %}
  {%- endif %}
  {%- if m.role == 'user' %}{%- set count.users = count.users + 1 %}{% endif %}
{%- endfor %}
{{- bos_token }}
{%- for m in rest %}
  {%- if m.role == 'user' %}
    {%- set count.asked = count.asked + 1 %}
    {%- if tools and count.asked == count.users %}
      {{- '[AVAILABLE_TOOLS]GAP' + tools | tojson + '[/AVAILABLE_TOOLS]' }}
    {%- endif %}
    {{- '[INST]GAP' }}
    {%- if own is not none and WHERE %}{{ own + '\n\n' }}{% endif %}
    {{- m.content + 'GAP[/INST]' }}
  {%- elif m.role == 'tool' %}
    {%- if m.tool_call_id is not string or m.tool_call_id | length != 9 %}
      {{- raise_exception('ids of tool calls have 9 characters') }}
    {%- endif %}
    {{- '[TOOL_RESULTS]GAP{"content": ' + m.content + ', "call_id": "' + m.tool_call_id }}
    {{- '"}[/TOOL_RESULTS]' }}
  {%- elif m.role == 'assistant' and m.tool_calls %}
    {{- '[TOOL_CALLS]GAP[' }}
    {%- for item in m.tool_calls %}
      {%- if item.id is not string or item.id | length != 9 %}
        {{- raise_exception('ids of tool calls have 9 characters') }}
      {%- endif %}
      {{- '{"name": "' + item.function.name + '", "arguments": ' }}
      {{- item.function.arguments | tojson + ', "id": "' + item.id + '"}' }}
      {{- ', ' if not loop.last else '' }}
    {%- endfor %}
    {{- ']' + eos_token }}
  {%- elif m.role == 'assistant' %}
    {{- 'GAP' + m.content + eos_token }}
  {%- else %}
    {{- raise_exception('there are no messages of role ' + m.role) }}
  {%- endif %}
{%- endfor %}
"""
"""Alternating roles; tools and system text move along to the last user message; no prompt for the
assistant at all. `GAP` and `WHERE` differ between generations."""

GEMMA_MARKS = ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")
GEMMA = """
{{- bos_token }}
{%- if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}
{%- for m in messages %}
  {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('roles must alternate: user, assistant, user, assistant') }}
  {%- endif %}
  {{- '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' }}
  {{- m.content | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}
"""

# ---- made to break a ledger ---------------------------------------------------------------------

PHI = """
{%- for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}
"""
"""Its control tokens swallow the white space behind them, so `\\n` is no token after an end."""
DROPS_NEWLINE = CHATML.replace(
    "<|im_end|>\n' }}", "<|im_end|>' + ('\n' if not loop.last or add_generation_prompt else '') }}"
)
"""No newline behind the end of a conversation that does not go on."""
JOINS_NEWLINE = CHATML.replace(
    "<|im_end|>\n' }}", "<|im_end|>' + ('\n' if not loop.last else '') }}"
)
"""A newline between turns but none before the assistant's: every prompt is rewritten later."""
COUNTS = "{{- messages | length ~ ' messages\n' }}" + CHATML
DATED = "{{- 'Today is ' + strftime_now('%d %b %Y') + '.\n' }}" + CHATML
FORGETS = """
{{- bos_token }}
{%- for m in messages %}
  {%- if m.role == 'assistant' %}
    {{- '<|Assistant|>' + m.content.split('</think>')[-1] + eos_token }}
  {%- elif m.role == 'user' %}{{ '<|User|>' + m.content }}
  {%- else %}{{ m.content }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}
"""
"""As R1: the prompt opens the thinking, and every earlier turn is rendered without it."""
SPEAKERS = """
{%- for m in messages %}
  {%- if m.role == 'assistant' %}{{ 'ASSISTANT: ' + m.content + eos_token }}
  {%- else %}{{ m.role | upper + ': ' + m.content + '\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'ASSISTANT: ' }}{% endif %}
"""
"""Roles in plain text: anybody can write them, and only the end is a control token."""
MUTE = CHATML.replace(PROMPT, "")
"""Never begins an assistant's turn: cannot be sampled from."""

_chatml = partial(make, special=CHATML_MARKS, eos="<|im_end|>")
_mistral = partial(make, special=MISTRAL_MARKS, eos="</s>", bos="<s>")
_NEW = MISTRAL.replace("GAP", "").replace("WHERE", "count.asked == count.users")
_OLD = MISTRAL.replace("GAP", " ").replace("WHERE", "loop.last")
TEMPLATES = {
    "chatml": cache(lambda: _chatml(CHATML)),
    "qwen2.5": cache(lambda: _chatml(QWEN25, plain=TOOL_MARKS)),
    "qwen3": cache(lambda: _chatml(QWEN3, plain=(*TOOL_MARKS, *THINK_MARKS))),
    "qwen3-plain": cache(lambda: _chatml(QWEN3, plain=(*TOOL_MARKS, *THINK_MARKS))),
    "hermes": cache(
        lambda: make(
            HERMES,
            ("<|begin_of_text|>", *CHATML_MARKS),
            eos="<|im_end|>",
            bos="<|begin_of_text|>",
        )
    ),
    "llama3": cache(
        lambda: make(LLAMA3, LLAMA_MARKS, eos="<|eot_id|>", bos="<|begin_of_text|>"),
    ),
    "mistral": cache(lambda: _mistral(_NEW)),
    "mistral-pieces": cache(lambda: _mistral(_OLD, base=sentence_piece)),
    "gemma": cache(lambda: make(GEMMA, GEMMA_MARKS, eos="<end_of_turn>", bos="<bos>")),
    "phi": cache(
        lambda: make(
            PHI,
            ("<|endoftext|>", "<|system|>", "<|user|>", "<|tool|>", "<|assistant|>", "<|end|>"),
            eos="<|endoftext|>",
            rstrip=True,
        )
    ),
    "drops-newline": cache(lambda: _chatml(DROPS_NEWLINE)),
    "joins-newline": cache(lambda: _chatml(JOINS_NEWLINE)),
    "counts": cache(lambda: _chatml(COUNTS)),
    "dated": cache(lambda: _chatml(DATED)),
    "forgets": cache(
        lambda: make(
            FORGETS,
            ("<s>", "</s>", "<|User|>", "<|Assistant|>"),
            eos="</s>",
            bos="<s>",
            plain=THINK_MARKS,
        )
    ),
    "speakers": cache(lambda: make(SPEAKERS, ("<s>", "</s>"), eos="</s>")),
}
SETTINGS = {"qwen3": {"thinking": True}, "qwen3-plain": {"thinking": False}}


@cache
def chat(name):
    """The chat format of a family, made once."""
    return TemplateChat(TEMPLATES[name](), **SETTINGS.get(name, {}))
