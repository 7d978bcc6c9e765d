"""Tool calls in an assistant's text: one parser and one writer per format that models are taught.

    format          one call, and several
    hermes          <tool_call>{"name": .., "arguments": {..}}</tool_call>, several blocks
    llama_json      {"name": .., "parameters": {..}}, separated by `;`
    llama_pythonic  [f(a=1), g(b="x")]
    mistral         [TOOL_CALLS][{"name": .., "arguments": {..}}], several in the list
                    [TOOL_CALLS]f{..} or [TOOL_CALLS]f[ARGS]{..}, repeated
    xml             <search>..</search>, several blocks
    fenced          a code block of three backticks and a language, several blocks
    plain           never

A text is OK, NO_CALL or MALFORMED as a whole. Nothing is repaired: no bracket is closed, no quote
mended, no bad call dropped among good ones, because a repaired call is one that the policy never
sampled and would be rewarded for. All take linear time.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agentrl.calls.base import LIMIT, Called, CallFormat, thinking
from agentrl.calls.hermes import HERMES
from agentrl.calls.literals import DEPTH, DIGITS
from agentrl.calls.llama import LLAMA_JSON, LLAMA_PYTHONIC
from agentrl.calls.markup import PLAIN, fenced, xml
from agentrl.calls.mistral import MISTRAL

__all__ = [
    "DEPTH",
    "DIGITS",
    "FORMATS",
    "LIMIT",
    "CallFormat",
    "Called",
    "fenced",
    "recognised",
    "thinking",
    "xml",
]

FORMATS: Mapping[str, CallFormat] = MappingProxyType(
    {
        form.name: form
        for form in (
            HERMES,
            LLAMA_JSON,
            LLAMA_PYTHONIC,
            MISTRAL,
            xml("search", "answer"),
            fenced(),
            PLAIN,
        )
    }
)

MARKERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("mistral", ("[TOOL_CALLS]",)),
    ("llama_pythonic", ("[func_name1(",)),
    ("llama_json", ("<|python_tag|>",)),
    ("llama_json", ("<|start_header_id|>", '"parameters": ')),
    ("hermes", ("<tool_call>",)),
    ("xml", ("</search>",)),
    ("xml", ("</answer>",)),
)
"""Formats and what their templates all hold; the first that fits counts. A code fence is no marker:
templates of other formats write their JSON in one."""
FOREIGN = ("<function=", "<arg_key>", "<tool_calls>")
"""Formats that put something else than a JSON object into `<tool_call>`: none of ours."""


def recognised(template: str) -> str:
    """The name of the format that a chat template (Jinja text) teaches; `plain` for no other."""
    if any(marker in template for marker in FOREIGN):
        return "plain"
    for name, markers in MARKERS:
        if all(marker in template for marker in markers):
            return name
    return "plain"
