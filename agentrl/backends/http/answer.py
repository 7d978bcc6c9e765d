"""What an OpenAI-compatible server answers, reduced to what is read here, and checked.

Whatever is not wholly there is a ValueError: the server is asked again.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from agentrl.errors import PolicyError
from agentrl.types import Finish

FINISHES = {
    "stop": Finish.STOP,
    "tool_calls": Finish.STOP,
    "function_call": Finish.STOP,
    "eos_token": Finish.STOP,
    "length": Finish.LENGTH,
}


class Cached(BaseModel):
    """Part of `Counted`."""

    cached_tokens: int | None = None


class Counted(BaseModel):
    """A server's own count, in tokens."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Cached | None = None

    @property
    def cached(self) -> int:
        """Tokens of the prompt that were read from a cache."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0


class Called(BaseModel):
    """A function and its arguments."""

    name: str
    arguments: str | None = None


class Call(BaseModel):
    """One of the native tool calls of an answer."""

    function: Called
    id: str | None = None


class Said(BaseModel):
    """The message of a chat answer."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None


class LogProbs(BaseModel):
    """Of sampled tokens, in nats."""

    token_logprobs: list[float] = []


class Choice(BaseModel):
    """One answer, of either way."""

    finish_reason: str
    message: Said | None = None
    text: str | None = None
    token_ids: list[int] | None = None
    logprobs: LogProbs | None = None


class Answer(BaseModel):
    """What a server answers, reduced to what is read here."""

    choices: list[Choice] = Field(min_length=1)
    usage: Counted | None = None

    @property
    def finish(self) -> Finish:
        """Why the first choice ended. Raises: PolicyError for a content filter, ValueError."""
        reason = self.choices[0].finish_reason
        if reason == "content_filter":
            raise PolicyError("the server's content filter cut the answer (content_filter)")
        if reason not in FINISHES:
            raise ValueError(f"finish_reason is {reason!r}")
        return FINISHES[reason]
