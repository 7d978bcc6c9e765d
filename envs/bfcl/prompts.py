"""What models are told: the package's own words, from its own constants."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.envs.bfcl.package import PROMPTS, constant
from agentrl.envs.bfcl.schemas import hinted

Messages = Sequence[Mapping[str, Any]]


def system_text(messages: Messages) -> str:
    """The system message of a first user turn, empty for none."""
    return next((one["content"] for one in messages if one["role"] == "system"), "")


def user_text(messages: Messages) -> str:
    """What the user says in a turn.

    A handful of live entries begin with a conversation: it is told with its roles, because an
    observation is one message.
    """
    told = [one for one in messages if one["role"] != "system"]
    if len(told) == 1:
        return str(told[0]["content"])
    return "\n\n".join(f"{one['role']}: {one['content']}" for one in told)


def prompting(functions: Sequence[Mapping[str, Any]], system: str) -> str:
    """The system prompt for models that were not trained to call functions: the package's default.

    It asks for `[f(a=1), g()]`; the data set's own system message follows it.
    """
    style = constant(PROMPTS, "PROMPT_STYLE_TEMPLATES")["classic"]
    form = {
        "output_format": constant(PROMPTS, "OUTPUT_FORMAT_MAPPING")["python"],
        "param_types": constant(PROMPTS, "PARAM_TYPE_MAPPING")["python"],
    }
    documents = json.dumps([hinted(one) for one in functions], indent=4)
    text = constant(PROMPTS, "PROMPT_TEMPLATE_MAPPING")["plaintext"].format(
        persona=style["persona"],
        task=style["task"],
        tool_call_format=style["tool_call_no_tag"].format(**form),
        multiturn_behavior=style["multiturn_behavior"],
        available_tools=style["available_tools"].format(format="json", functions=documents),
    )
    return "\n\n".join(filter(None, [str(text), system]))


def more_functions(functions: Any) -> str:
    """How the user says that there are more functions now."""
    told = constant(PROMPTS, "DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_PROMPTING")
    return str(told.format(functions=functions))


def steps() -> int:
    """Texts with calls after which a user turn, and with it the conversation, is cut short."""
    return int(constant(PROMPTS, "MAXIMUM_STEP_LIMIT")) + 1


def told_results(calls: Sequence[str], results: Sequence[str]) -> str:
    """Results as models read them that were not trained to call functions."""
    pairs = zip(calls, results, strict=True)
    return repr([{"role": "tool", "name": call, "content": result} for call, result in pairs])
