"""Fuzz the tool-call formats: `python tests/fuzz_calls.py SECONDS`, with atheris installed.

`check` is what has to hold for any text; tests/test_calls.py asks it of generated texts, and of
every text that ever failed here (`FAILED` there: add what a run finds).
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from agentrl.errors import DataError
from agentrl.types import Parse

SEEDS = (
    '<think>so</think>a <tool_call>\n{"name": "f", "arguments": {"a": [1, null]}}\n</tool_call> b',
    '<tool_call>{"name": "f", "arguments": "{\\"a\\": \\"\\\\u00e9\\"}", "id": "1"}</tool_call>',
    '<|python_tag|>{"name": "f", "parameters": {"a": -1.5e3}}; {"name": "g", "parameters": {}}',
    "[f(a=1, b=\"x\\n\", c=[True, None]), g(d={'e': '''f'''},)]",
    'so [TOOL_CALLS] [{"name": "f", "arguments": {"a": "b"}, "id": "abcdefghi"}]',
    '[TOOL_CALLS]f{"a": 1}[TOOL_CALLS]g[CALL_ID]12[ARGS]{"b": {"c": {}}}',
    "let me <search>\nwho\n</search> and <answer>42</answer>",
    "first\n```python\nprint(1)\n```\nthen\n````sh\n```\n````",
)
TOKENS = (
    *("<think>", "</think>", "<tool_call>", "</tool_call>", "<|python_tag|>", "<search>"),
    *("</search>", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]", "```", "```py\n", "\n```\n", "[f("),
    *('"name":', '"arguments":', '"parameters":', '"id":', '"f"', "\\u00e9", "\\ud800", "\\\\"),
    *('"""', "'''", "NaN", "Infinity", "1e999", "True", "null", "{}", "[]", "a=", "}}", ")]"),
)
JSON = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
PYTHON = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
SHORT = {
    JSON: dict(zip('bfnrt\\/"', '\b\f\n\r\t\\/"', strict=True)),
    PYTHON: dict(zip("abfnrtv\\'\"\n", [*"\a\b\f\n\r\t\v\\'\"", ""], strict=True)),
}


def check(form, text):
    """What holds for every format and text: one of three, well-formed, nothing invented."""
    called = form.parse(text)
    malformed = called.status is Parse.MALFORMED
    assert (called.status is Parse.OK) == bool(called.calls)
    assert malformed == bool(called.reason) == (called.position >= 0)
    assert called.position <= len(text)
    assert not malformed or f"character {called.position}: " in called.reason
    assert all(line in text for line in [called.thinking, *called.content.split("\n")])
    if called.calls:
        json = unescaped(text, JSON)
        known = ["content code", text, json, unescaped(json, JSON), unescaped(text, PYTHON)]
        strings = list(strings_in([list(call) for call in called.calls]))
        assert all(any(string in seen for seen in known) for string in strings)
        check_written(form, called.calls)
    return called


def check_written(form, calls):
    """What was read can be written and read again, but for marked text around `</think>`."""
    try:
        text = form.write(calls)
    except DataError:  # tags and fences have no escapes
        assert form.name in ("xml", "fenced")
        assert "</think>" in repr(calls)
    else:
        assert form.parse(text).calls == calls


def strings_in(value):
    """All strings of a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.items():
            yield from strings_in(list(item))
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)


def unescaped(text, escape):
    """A text with all escapes of a language replaced, wherever they stand."""

    def one(found):
        code = found[1]
        if code[0] in "uUx" and len(code) > 1:
            return chr(min(int(code[1:], 16), 0x10FFFF))
        if code[0] in "01234567" and escape is PYTHON:
            return chr(int(code, 8))
        return SHORT[escape].get(code, found[0])

    joined = escape.sub(one, text).encode("utf-16", "surrogatepass")
    return joined.decode("utf-16", "replace")


def main(seconds):
    """Fuzz all formats; ends the process, with 0 when nothing was found."""
    try:
        import atheris
    except ImportError:
        sys.exit("fuzz_calls: the package 'atheris' is not installed: run `pip install atheris`")
    with atheris.instrument_imports(include=["agentrl.calls"]):
        from agentrl.calls import FORMATS

    def target(data):
        text = data.decode("utf-8", "replace")
        for form in FORMATS.values():
            check(form, text)

    folder = Path(tempfile.mkdtemp(prefix="fuzz_calls-"))
    sys.stderr.write(f"fuzz_calls: what it finds is written to {folder}\n")
    atheris.Setup([sys.argv[0], *arguments(folder, seconds)], target)
    atheris.Fuzz()


def arguments(folder, seconds):
    """libFuzzer's options; the seeds and the tokens are written to `folder`."""
    corpus = folder / "corpus"
    corpus.mkdir()
    for index, seed in enumerate(SEEDS):
        (corpus / f"seed-{index}").write_text(seed)
    lines = ("".join(f"\\x{byte:02x}" for byte in token.encode()) for token in TOKENS)
    (folder / "tokens").write_text("".join(f'"{line}"\n' for line in lines))
    options = {"max_total_time": seconds, "timeout": 10, "max_len": 2048, "print_final_stats": 1}
    options |= {"dict": folder / "tokens", "artifact_prefix": f"{folder}/"}
    return [*(f"-{name}={value}" for name, value in options.items()), str(corpus)]


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit("usage: python tests/fuzz_calls.py SECONDS")
    main(int(sys.argv[1]))
