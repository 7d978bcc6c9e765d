"""Tool calls: what each format reads, what it refuses and where, and writing, its inverse."""

import ast
import inspect
import json
import sys

import pytest
from fuzz_calls import SEEDS, TOKENS, check
from hypothesis import given
from hypothesis import strategies as st

from agentrl.calls import DEPTH, DIGITS, FORMATS, LIMIT, fenced, recognised, thinking, xml
from agentrl.errors import ConfigError, DataError
from agentrl.types import Parse, ToolCall

JSON_FORMATS = ("hermes", "llama_json", "mistral")
WEATHER = {"city": "Paris", "unit": "celsius"}
NAMED = json.dumps({"name": "f", "arguments": {}})
ARGUED = '<tool_call>{"name": "f", "arguments": %s}</tool_call>'
FAILED = (
    '[f(a=1, b="\x01\x00._\\\\\\\\\\\\\\\\\\\\\\/\\\\\\\\\\\\\\9[\\\\\\\x00\x00\x00"'
    ", c=[True, None])]",
    r'[f(a="\/")]',
)
"""Every text that fuzz_calls.py ever found a flaw with (so far only one of the check's own)."""


def call(name, arguments, id=""):
    return ToolCall(name, arguments, id)


GOOD = [
    (
        "hermes",
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "unit": "celsius"}}\n'
        "</tool_call>",
        [call("get_weather", WEATHER)],
        "",
    ),
    (
        "hermes",
        'I look.\n<tool_call>\n{"arguments": {"n": 1}, "name": "f"}\n</tool_call> and\n'
        '<tool_call>{"name": "f", "arguments": {"n": 2}, "id": "c2"}</tool_call>\nDone.',
        [call("f", {"n": 1}), call("f", {"n": 2}, "c2")],
        "I look.\nand\nDone.",
    ),
    ("hermes", ARGUED % r'"{\"a\": {\"b\": [true]}}"', [call("f", {"a": {"b": [True]}})], ""),
    ("hermes", ARGUED % '{"x": "</tool_call>"}', [call("f", {"x": "</tool_call>"})], ""),
    ("hermes", ARGUED % '{"é\\u00e9": "\\ud83d\\ude00"}', [call("f", {"éé": "😀"})], ""),
    (
        "hermes",
        ARGUED % '{"n": [-0.5e-3, 0, -12, 1E2]}',
        [call("f", {"n": [-5e-4, 0, -12, 100.0]})],
        "",
    ),
    ("llama_json", '{"name": "f", "parameters": {"k": "v"}}', [call("f", {"k": "v"})], ""),
    ("llama_json", ' {"type": "function", "name": "f", "arguments": {}} ', [call("f", {})], ""),
    (
        "llama_json",
        'So:\n<|python_tag|>{"name": "f", "parameters": {"a": ";"}}; '
        '{"name": "g", "parameters": {}}',
        [call("f", {"a": ";"}), call("g", {})],
        "So:",
    ),
    (
        "llama_pythonic",
        "[get_weather(city='Paris', unit=\"celsius\"), now()]",
        [call("get_weather", WEATHER), call("now", {})],
        "",
    ),
    (
        "llama_pythonic",
        "[ a.b(\n x=[1, -2.5, None,],\n y={'k': {}, \"l\": [True, False]},\n), ]\n",
        [call("a.b", {"x": [1, -2.5, None], "y": {"k": {}, "l": [True, False]}})],
        "",
    ),
    (
        "llama_pythonic",
        r"""[f(from='\'\x41\u00e9\n\101\d', s='''a'b"c
''', größe="\
")]""",
        [call("f", {"from": "'Aé\nA\\d", "s": "a'b\"c\n", "größe": ""})],
        "",
    ),
    ("llama_pythonic", '[f(a="""x""y"z""")]', [call("f", {"a": 'x""y"z'})], ""),
    (
        "mistral",
        '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris", "unit": "celsius"}, '
        '"id": "VvvODy9mT"}, {"name": "now", "arguments": {}}]',
        [call("get_weather", WEATHER, "VvvODy9mT"), call("now", {})],
        "",
    ),
    (
        "mistral",
        'I look. [TOOL_CALLS]get_weather{"city": "Paris", "unit": "celsius"}[TOOL_CALLS]now{}',
        [call("get_weather", WEATHER), call("now", {})],
        "I look.",
    ),
    (
        "mistral",
        '[TOOL_CALLS]f[ARGS]{"a": "[TOOL_CALLS]"}[TOOL_CALLS]g[CALL_ID]123456789[ARGS]{}',
        [call("f", {"a": "[TOOL_CALLS]"}), call("g", {}, "123456789")],
        "",
    ),
    ("xml", "I look. <search>\nwho\n</search>", [call("search", {"content": "who"})], "I look."),
    (
        "xml",
        "<search>a < b</search><answer><search>4</answer>",
        [call("search", {"content": "a < b"}), call("answer", {"content": "<search>4"})],
        "",
    ),
    (
        "fenced",
        "I run\n```python\n\nfor i in x:\n    i\n\n```\nand\n```\nprose\n```\n````sh\n```\n````",
        [call("python", {"code": "\nfor i in x:\n    i\n"}), call("sh", {"code": "```"})],
        "I run\nand\n```\nprose\n```",
    ),
]
"""Format, text, its calls and its content; in the manner of each model's documentation."""

BAD = [
    ("hermes", "so <tool_call>", 14, "call 1, character 14: expected an object, found the end"),
    ("hermes", f"<tool_call>{NAMED} ", 0, "call 1, character 0: <tool_call> is not closed"),
    (
        "hermes",
        f"<tool_call>{NAMED}</tool_call>-<tool_call>{NAMED}x</tool_call>",
        95,
        "call 2, character 95: expected '</tool_call>', found 'x'",
    ),
    ("hermes", f"<tool_call>[{NAMED}]</tool_call>", 11, "expected an object, found '['"),
    ("hermes", '<tool_call>{"arguments": {}}</tool_call>', 11, "the call has no name"),
    ("hermes", '<tool_call>{"name": "f"}</tool_call>', 11, "the call has no arguments"),
    ("hermes", '<tool_call>{"name": 1, "arguments": {}}</tool_call>', 20, "the name is not text"),
    ("hermes", '<tool_call>{"name": "", "arguments": {}}</tool_call>', 20, "the name is empty"),
    ("hermes", '<tool_call>{"name":"f","n":1,"arguments":{}}', 27, "a call has no key 'n'"),
    ("hermes", '<tool_call>{"name":"f","id":7,"arguments":{}}', 28, "the id is not text"),
    (
        "hermes",
        '<tool_call>{"name":"f","type":"x","arguments":{}}',
        30,
        "the type is not 'function'",
    ),
    (
        "hermes",
        '<tool_call>{"name":"f","arguments":{},"parameters":{}}',
        11,
        "the call has both arguments and parameters",
    ),
    ("hermes", ARGUED % "[1]", 38, "the arguments are not an object"),
    ("hermes", ARGUED % "null", 38, "the arguments are not an object"),
    ("hermes", ARGUED % '"[1]"', 38, "the arguments are not an object"),
    (
        "hermes",
        ARGUED % r'"{\"a\": 1"',
        38,
        "arguments as text: expected ',' or '}', found the end",
    ),
    ("hermes", ARGUED % '"{} x"', 38, "arguments as text: expected the end, found 'x'"),
    ("hermes", ARGUED % '{"a": 1, "a": 2}', 47, "duplicate key 'a'"),
    ("hermes", ARGUED % '{"a": [{"b": 1, "\\u0062": 2}]}', 54, "duplicate key 'b'"),
    ("hermes", ARGUED % '{"a": NaN}', 44, "NaN is not JSON"),
    ("hermes", ARGUED % '{"a": -Infinity}', 44, "-Infinity is not JSON"),
    ("hermes", ARGUED % '{"a": 1e999}', 44, "'1e999' is too large for a number"),
    ("hermes", ARGUED % '{"a": 01}', 45, "expected ',' or '}', found '1'"),
    ("hermes", ARGUED % '{"a": 1,}', 46, "expected '\"', found '}'"),
    ("hermes", ARGUED % '{"a": [1 2]}', 47, "expected ',' or ']', found '2'"),
    ("hermes", ARGUED % "{'a': 1}", 39, "expected '\"', found \"'\""),
    ("hermes", ARGUED % '{"a" 1}', 43, "expected ':', found '1'"),
    ("hermes", ARGUED % '{"a": }', 44, "expected a value, found '}'"),
    ("hermes", ARGUED % '{"a": "b}', 44, "a string is not closed"),
    ("hermes", ARGUED % '{"a": "\n"}', 45, "a raw control character in a string"),
    ("hermes", ARGUED % r'{"a": "\d"}', 45, "a bad escape in a string"),
    ("hermes", ARGUED % r'{"a": "\ud800"}', 44, "half of a surrogate pair in a string"),
    (
        "llama_json",
        '{"name": "f", "parameters": {}}; ',
        33,
        "call 2, character 33: expected an object, found the end",
    ),
    (
        "llama_json",
        '{"name": "f", "parameters": {}} ok',
        32,
        "call 2, character 32: expected ';' or the end, found 'o'",
    ),
    ("llama_json", '{"answer": 4}', 11, "a call has no key 'answer'"),
    ("llama_json", '<|python_tag|>print("x")', 14, "expected an object, found 'p'"),
    ("llama_pythonic", "[f(1)]", 3, "an argument without a name"),
    ("llama_pythonic", "[f(**{'a': 1})]", 3, "an argument without a name"),
    ("llama_pythonic", "[f(a=1, a=2)]", 8, "duplicate argument 'a'"),
    ("llama_pythonic", "[f(a={'b': 1, 'b': 2})]", 14, "duplicate key 'b'"),
    ("llama_pythonic", "[f(a=g(1))]", 5, "'g' is no literal"),
    ("llama_pythonic", "[f(a=1+1)]", 6, "expected ',' or ')', found '+'"),
    ("llama_pythonic", "[f(a=(1, 2))]", 5, "expected a value, found '('"),
    ("llama_pythonic", "[f(a={1: 2})]", 6, "expected a string, found '1'"),
    ("llama_pythonic", "[f(a=true)]", 5, "'true' is no literal"),
    ("llama_pythonic", "[f(a=007)]", 5, "'007' begins with a zero"),
    ("llama_pythonic", "[f(a='x)]", 5, "a string is not closed"),
    ("llama_pythonic", "[f(a='a\nb')]", 5, "a string is not closed"),
    ("llama_pythonic", r"[f(a='ab\xg')]", 8, "a bad escape in a string"),
    (
        "llama_pythonic",
        "[f(a=1), 2]",
        9,
        "call 2, character 9: expected a function's name, found '2'",
    ),
    ("llama_pythonic", "[f(a=1)", 7, "call 2, character 7: expected ',' or ']', found the end"),
    ("llama_pythonic", "[f(a=1)]; done", 8, "call 2, character 8: expected the end, found ';'"),
    ("mistral", "[TOOL_CALLS]", 12, "expected a function's name, found the end"),
    ("mistral", "[TOOL_CALLS][]", 13, "expected an object, found ']'"),
    (
        "mistral",
        f"[TOOL_CALLS][{NAMED}, ]",
        45,
        "call 2, character 45: expected an object, found ']'",
    ),
    (
        "mistral",
        f"[TOOL_CALLS][{NAMED}",
        43,
        "call 2, character 43: expected ',' or ']', found the end",
    ),
    (
        "mistral",
        f"[TOOL_CALLS][{NAMED}] ok",
        45,
        "call 2, character 45: expected the end, found 'o'",
    ),
    ("mistral", "[TOOL_CALLS]f {1}", 15, "expected '\"', found '1'"),
    ("mistral", "[TOOL_CALLS]f[ARGS]", 19, "expected an object, found the end"),
    ("mistral", "[TOOL_CALLS]f[CALL_ID][ARGS]{}", 22, "expected an id, found '['"),
    ("mistral", '[TOOL_CALLS]f{"a": 1, "a": 1}', 22, "duplicate key 'a'"),
    ("xml", "so <search>a</answer>", 3, "call 1, character 3: <search> is not closed"),
    ("xml", "<search>a</search><answer> </answer>", 18, "call 2, character 18: <answer> is empty"),
    ("fenced", "so\n```py\nx\n``", 3, "call 1, character 3: the py block is not closed"),
    ("fenced", "```py\n\n```", 0, "the py block is empty"),
    ("fenced", "```py x=1\n1\n```", 0, "more than the language py is named"),
    ("plain", " <think>hm", 1, "character 1: <think> is not closed"),
]
"""Format, text, where it is malformed, and the reason; without its place in a first call."""


@pytest.mark.parametrize(("form", "text", "calls", "content"), GOOD)
def test_well_formed_calls_are_read(form, text, calls, content):
    assert FORMATS[form].parse(text) == (Parse.OK, tuple(calls), content, "", "", -1)
    check(FORMATS[form], text)


@pytest.mark.parametrize(("form", "text", "position", "reason"), BAD)
def test_malformed_calls_say_what_and_where(form, text, position, reason):
    called = check(FORMATS[form], text)
    assert (called.status, called.position) == (Parse.MALFORMED, position)
    where = "" if reason.startswith(("call", "character")) else f"call 1, character {position}: "
    assert called.reason == where + reason
    assert called.content == ("" if form == "plain" else text.strip())


@pytest.mark.parametrize(
    ("form", "text"),
    [
        *((form, text) for form in FORMATS for text in ("", " \n", "a [1] {b} <c> `d` é")),
        *(("hermes", text) for text in ("</tool_call>", "<tool_call", '{"name": "f"}')),
        *(("llama_json", text) for text in ('I {"name": "f"}', "[f()]", "python_tag")),
        *(("llama_pythonic", text) for text in ("[]", "[1]", "[f]", "so [f()]", "f(a=1)")),
        *(("mistral", text) for text in ("[TOOL_CALL]", "[TOOL_RESULTS]", "[ARGS]{}")),
        *(("xml", text) for text in ("<Search>a</Search>", "</search>", "<think/><find>a</find>")),
        *(("fenced", text) for text in ("a ```py\nb\n```", "```\na\n```", "    ```py\n", "```a`b")),
        *(("plain", text) for text in SEEDS[1:]),
    ],
)
def test_what_opens_no_call_is_content(form, text):
    assert FORMATS[form].parse(text) == (Parse.NO_CALL, (), text.strip(), "", "", -1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ("", "", True)),
        ("a <think> b", ("", "a <think> b", True)),
        ("<think> a\n</think>\n\nb", ("a", "\n\nb", True)),
        ("\n<think>\n\n</think>b", ("", "b", True)),
        ("a</think>b</think>", ("a", "b</think>", True)),
        ("<think>a<think>b</think>c", ("a<think>b", "c", True)),
        (" <think> a <tool_call>", ("a <tool_call>", "", False)),
    ],
)
def test_thinking_stands_before_its_closing_tag(text, found):
    assert thinking(text) == found


def test_what_is_thought_calls_nothing():
    text = f"I might <tool_call>{NAMED}</tool_call></think> but <tool_call>{NAMED}</tool_call>"
    called = FORMATS["hermes"].parse(text)
    assert (called.calls, called.content) == ((call("f", {}),), "but")
    assert called.thinking == f"I might <tool_call>{NAMED}</tool_call>"
    after = FORMATS["hermes"].parse("<think>é</think> <tool_call>")
    assert (after.position, after.thinking, after.content) == (28, "é", "<tool_call>")


def test_an_unclosed_thought_is_malformed_in_every_format():
    for form in FORMATS.values():
        called = form.parse("<think>so <search>a</search>")
        assert (called.status, called.position, called.content) == (Parse.MALFORMED, 0, "")
        assert called.thinking == "so <search>a</search>"


def test_a_text_is_looked_at_up_to_a_stated_limit():
    most = ARGUED % json.dumps({"a": "x" * (LIMIT - 60)})
    assert FORMATS["hermes"].parse(most).status is Parse.OK
    for form in FORMATS.values():
        called = form.parse(" " * LIMIT + "x")
        assert (called.status, called.position) == (Parse.MALFORMED, LIMIT)
        assert called.reason == f"{LIMIT + 1} characters are more than {LIMIT}"


@pytest.mark.parametrize("number", ["9" * DIGITS, "-" + "9" * (DIGITS - 1)])
def test_numbers_have_a_stated_limit(number):
    assert check(FORMATS["hermes"], ARGUED % f'{{"a": {number}}}').status is Parse.OK
    assert check(FORMATS["llama_pythonic"], f"[f(a={number})]").status is Parse.OK
    longer = check(FORMATS["hermes"], ARGUED % f'{{"a": {number}0}}')
    assert longer.reason.endswith(f"a number of {DIGITS + 1} characters, more than {DIGITS}")


def test_brackets_have_a_stated_limit():
    for extra, status in ((0, Parse.OK), (1, Parse.MALFORMED)):
        deep = "[" * (DEPTH + extra)
        assert FORMATS["llama_pythonic"].parse(f"[f(a={deep}{']' * len(deep)})]").status is status
    called = FORMATS["hermes"].parse(ARGUED % ('{"a":' * 9999))
    assert called.reason.endswith(f"nested deeper than {DEPTH} brackets")


def test_a_full_stack_is_malformed_and_no_exception():
    def parse(frames):
        return parse(frames - 1) if frames else FORMATS["llama_pythonic"].parse(deep)

    deep = f"[f(a={'[' * DEPTH}{']' * DEPTH})]"
    assert parse(1).status is Parse.OK
    called = parse(sys.getrecursionlimit() - len(inspect.stack(0)) - 40)
    assert (called.status, called.position) == (Parse.MALFORMED, 0)
    assert called.reason.endswith("nested too deep for the stack that is left")


def test_tags_and_languages_are_chosen():
    tags = xml("tool.x", "python")
    assert tags.parse("<toolax>a</toolax><search>b</search>").status is Parse.NO_CALL
    assert tags.parse("<tool.x>a</tool.x>").calls == (call("tool.x", {"content": "a"}),)
    code = fenced("python", "c++").parse("```json\n{}\n```\n```c++\nx\n```")
    assert (code.calls, code.content) == ((call("c++", {"code": "x"}),), "```json\n{}\n```")
    assert fenced("python").parse("```json\n{}").status is Parse.NO_CALL
    for names in ((), ("a b",), ("think",), ("",)):
        with pytest.raises(ConfigError, match="cannot call by the tags"):
            xml(*names)


WRITTEN = {
    "hermes": '<tool_call>\n{"name": "f", "arguments": {"é": 1}, "id": "7"}\n</tool_call>',
    "llama_json": '{"name": "f", "parameters": {"é": 1}, "id": "7"}',
    "llama_pythonic": "[f(é=1)]",
    "mistral": '[TOOL_CALLS][{"name": "f", "arguments": {"é": 1}, "id": "7"}]',
}


@pytest.mark.parametrize("form", WRITTEN)
def test_the_canonical_text(form):
    assert FORMATS[form].write([call("f", {"é": 1}, "7")]) == WRITTEN[form]
    thought = FORMATS[form].write([call("f", {"a": "x</think>"})])
    assert FORMATS[form].parse(thought).calls == (call("f", {"a": "x</think>"}),)
    assert FORMATS[form].write([]) == ""


UNWRITABLE = [
    *(
        (form, "f", {"a": value})
        for form in WRITTEN
        for value in ({1}, (1,), float("nan"), "\ud800")
    ),
    *((form, "f", {"a": {1: 2}}) for form in WRITTEN),
    *((form, "", {}) for form in WRITTEN),
    *((form, "f", {"a": "x" * LIMIT}) for form in WRITTEN),
    *((form, "f", {"a": 10**DIGITS}) for form in WRITTEN),
    ("hermes", "f", {"a": json.loads("[" * DEPTH + "]" * DEPTH)}),
    ("llama_pythonic", "f", {"a=1, b": 2}),
    ("llama_pythonic", "a b", {}),
    *(("xml", "search", {"content": text}) for text in ("", " a", "</search>", "</think>", 1)),
    *(("xml", name, {"content": "a"}) for name in ("find", "")),
    ("xml", "search", {"content": "a", "k": 5}),
    ("xml", "search", {}),
    *(("fenced", "py", {"code": text}) for text in ("", "\n", "</think>", None)),
    *(("fenced", name, {"code": "a"}) for name in ("", "a b", "a`", "a\n")),
    ("plain", "f", {}),
]


@pytest.mark.parametrize(("form", "name", "arguments"), UNWRITABLE)
def test_what_a_format_cannot_carry_is_not_written(form, name, arguments):
    with pytest.raises(DataError) as caught:
        FORMATS[form].write([call("search", {"content": "b"}), call(name, arguments)][1:])
    assert repr(name) in str(caught.value)
    assert len(str(caught.value)) < 400


texts = st.text() | st.lists(st.sampled_from(TOKENS), max_size=4).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
words = st.from_regex(r"[a-zé_][a-z0-9_]{0,6}", fullmatch=True)
contents = texts.map(str.strip).filter(
    lambda text: text and not any(tag in text for tag in ("</think>", "</search>"))
)
codes = st.lists(st.sampled_from(["`", "```", "\n", " ", "a"]) | texts).map("".join)
CALLS = {
    **{
        form: st.builds(
            ToolCall, texts.filter(bool), st.dictionaries(texts, values, max_size=3), texts
        )
        for form in JSON_FORMATS
    },
    "llama_pythonic": st.builds(call, words, st.dictionaries(words, values, max_size=3)),
    "xml": st.builds(call, st.just("search"), st.builds(dict, content=contents)),
    "fenced": st.builds(
        call,
        st.sampled_from(["py", "c++", "é"]),
        st.builds(dict, code=codes.filter(lambda code: code.strip() and "</think>" not in code)),
    ),
}


@pytest.mark.parametrize("form", CALLS)
@given(data=st.data())
def test_writing_is_the_inverse_of_reading(form, data):
    calls = tuple(data.draw(st.lists(CALLS[form], min_size=1, max_size=2)))
    text = FORMATS[form].write(calls)
    assert check(FORMATS[form], text) == (Parse.OK, calls, "", "", "", -1)
    thought = check(FORMATS[form], f"<think> é </think>\n{text}\n")
    assert (thought.calls, thought.thinking, thought.content) == (calls, "é", "")


marked = st.lists(st.sampled_from([*TOKENS, *SEEDS, *"{}[]()<>\"'\\,:;=-1a é\n`"]) | st.text())


@given(text=st.text() | marked.map("".join))
def test_any_text_is_one_of_three(text):
    for form in FORMATS.values():
        check(form, text)


@given(seed=st.sampled_from(SEEDS), data=st.data())
def test_a_damaged_call_is_one_of_three(seed, data):
    first, last = sorted(data.draw(st.integers(0, len(seed))) for _ in range(2))
    damaged = seed[:first] + data.draw(st.sampled_from(["", *TOKENS])) + seed[last:]
    for form in FORMATS.values():
        check(form, damaged)


@pytest.mark.parametrize("text", FAILED)
def test_what_once_failed(text):
    for form in FORMATS.values():
        check(form, text)


pieces = ["{", "}", "[", "]", ",", ":", '"a"', '"b"', "1", "-0.5", "true", "null", " ", '"\\u0062"']


@given(st.lists(st.sampled_from(pieces)).map("".join) | values.map(json.dumps))
def test_json_is_what_the_standard_library_takes_it_for(text):
    called = FORMATS["mistral"].parse(f'[TOOL_CALLS]f{{"k": {text}}}')
    if called.status is Parse.OK:
        assert called.calls == (call("f", json.loads(f'{{"k": {text}}}')),)
    elif "duplicate" not in called.reason and "</think>" not in text:  # that ends a thought
        with pytest.raises(ValueError, match="line"):
            json.loads(f'{{"k": {text}}}')


tokens = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "'a'",
    '"b"',
    "1",
    "-.5",
    "True",
    "None",
    " ",
    r"'\x41'",
    "+2.",
]


@given(st.lists(st.sampled_from(tokens)).map("".join) | values.map(repr))
def test_python_is_what_the_standard_library_takes_it_for(text):
    called = FORMATS["llama_pythonic"].parse(f"[f(k={text})]")
    if called.status is Parse.OK:
        (keyword,) = ast.parse(f"[f(k={text})]", mode="eval").body.elts[0].keywords
        assert called.calls == (call("f", {"k": ast.literal_eval(keyword.value)}),)


class Watched(str):
    """A text that counts the characters which `find` passes over."""

    searched = 0

    def find(self, *arguments):
        found = super().find(*arguments)
        self.searched += (len(self) if found < 0 else found) - (arguments[1:] or (0,))[0]
        return found


def work(form, text):
    """Function calls, and characters searched, that one parse takes."""
    watched, events = Watched(text), [0]

    def count(*_):
        events[0] += 1

    sys.setprofile(count)
    try:
        form.parse(watched)
    finally:
        sys.setprofile(None)
    return events[0] + watched.searched


HOSTILE = [
    *("<tool_call>", "<think>", "</think>", "<search>", "</search>", "<search", "<|python_tag|>"),
    *(
        "[TOOL_CALLS]",
        "[TOOL_CALLS]f{}",
        "[TOOL_CALLS]f",
        "```",
        "```py\n",
        "```\n",
        "`",
        "\n",
        " ",
    ),
    *("<search>a</search>", "<search>a</answer>", "```py\na\n```\n", '{"', '"', "\\", '\\"', "'"),
    *(";", "{}; ", "[f(", "[f(a=", "f(", "{", "[", '{"a":', "[{", ",", "1", "<", f"{NAMED};"),
    *('"a":1,', "a=1,", "'''", '"""', "-", "a.", "\\u0041", f"<tool_call>{NAMED}</tool_call>"),
]
PREFIXES = {
    "hermes": ("", "<tool_call>", '<tool_call>{"name": "f", "arguments": {"a": "'),
    "llama_json": ("", "<|python_tag|>", '{"name": "f", "parameters": {"a": "', '{"name":'),
    "llama_pythonic": ("", "[f(", "[f(a='", '[f(a="""', "[f(a=["),
    "mistral": ("", "[TOOL_CALLS]", "[TOOL_CALLS][", '[TOOL_CALLS]f{"a": "'),
    "xml": ("", "<search>"),
    "fenced": ("", "```py\n", "````py\n"),
    "plain": ("",),
}


@pytest.mark.parametrize("form", FORMATS)
def test_four_times_the_text_is_four_times_the_work(form):
    for prefix in PREFIXES[form]:
        for unit in HOSTILE:
            few, many = (work(FORMATS[form], prefix + unit * n) for n in (60, 240))
            assert many < 6 * few, (prefix, unit)


LLAMA = "<|start_header_id|>ipython{{ m.content }}"
RECOGNISED = [
    ("hermes", """{{- '\\n<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}"""),
    ("mistral", "{{- '[TOOL_CALLS] [' }}{{- call.function|tojson }}"),
    ("mistral", "{{- '[TOOL_CALLS]' + call.function.name + '[ARGS]' + arguments }}"),
    ("llama_json", LLAMA + "{{- '{\"name\": \"' + call.name + '\", ' }}{{- '\"parameters\": ' }}"),
    ("llama_json", LLAMA + "{{- '<|python_tag|>' + call.name + '.call(' }}"),
    ("llama_pythonic", LLAMA + "{{- 'Respond as [func_name1(params_name1=value1), ...]' }}"),
    ("xml", "{{- 'Search with <search> query </search>.' }}"),
    ("plain", "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% endfor %}"),
    ("plain", LLAMA),
    ("plain", "{{- '<tool_call>\\n<function=' + call.name + '>' }}"),
    ("plain", ""),
]


@pytest.mark.parametrize(("form", "template"), RECOGNISED)
def test_a_template_tells_its_format(form, template):
    assert recognised(template) == form


def test_formats_are_named_as_they_are_found():
    assert [form.name for form in FORMATS.values()] == list(FORMATS)
    assert {*PREFIXES} == {*FORMATS} == {*CALLS, "plain"}
