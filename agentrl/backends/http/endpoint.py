"""Where a model is served and how it is asked: what `--model openai:URL#NAME` and `--endpoint` say.

Nothing is imported here that an extra brings, so that mistakes are told before anything else.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from agentrl.backends.http.wire import ChatWire, CompletionsWire
from agentrl.chat import TemplateChat
from agentrl.errors import ConfigError, boundary

SCHEME = "openai:"
KEY = "OPENAI_API_KEY"


class Address(NamedTuple):
    """Where a model is served, and its name there."""

    url: str
    name: str = ""
    """Empty for the only one."""

    @classmethod
    def of(cls, text: str) -> Address:
        """From `openai:URL#NAME`; a URL without a version gets `/v1`. Raises: ConfigError."""
        url, _, name = text.removeprefix(SCHEME).partition("#")
        parts = urlsplit(url)
        if "@" in parts.netloc or parts.query:
            raise ConfigError(
                "the address in --model holds a password or a query: give scheme, host and path, "
                f"and the key in the environment variable {KEY}"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"--model {text!r} names no server: write openai:http://HOST:PORT/v1#NAME"
            )
        path = parts.path.rstrip("/")
        version = "" if re.search(r"/v\d", path) else "/v1"
        return cls(f"{parts.scheme}://{parts.netloc}{path}{version}", name)

    @property
    def text(self) -> str:
        """As it is written for `--model`."""
        return f"{SCHEME}{self.url}#{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """How a server is asked: `--endpoint key=value`."""

    mode: Literal["chat", "completions"] = "chat"
    """`completions` sends token ids made with the local `tokenizer`: exact where the server
    returns ids and log-probs (vLLM does)."""
    tokenizer: str = ""
    """Folder of a tokenizer with a chat template, for `completions`."""
    tools: Literal["native", "text"] = "native"
    """Whether tools and their calls have fields of their own or stand in the text."""
    concurrency: int = 32
    """Episodes, and so requests, at once."""
    timeout_seconds: float = 300.0
    """For one answer."""
    patience_seconds: float = 300.0
    """For which a server that is gone, broken or busy is waited for; the episode fails then."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    """Counted as servers do: estimated tokens of the context, and the most that may be sampled."""
    dollars: float | None = None
    """Of the whole evaluation: no request is sent after it; those on their way still cost."""
    prices: str = ""
    """YAML file with `model: {input, output, cached}` in US dollars per million tokens."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every request."""

    def __post_init__(self) -> None:
        for name in ("concurrency", "timeout_seconds", "requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"endpoint.{name} is {value}: give a number above 0", name)
        for name in ("patience_seconds", "dollars"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"endpoint.{name} is {value}: give 0 or more", name)
        if self.dollars is not None and not self.prices:
            raise ConfigError(
                "endpoint.dollars needs prices=FILE: no cost is known without", "dollars"
            )
        if (self.mode == "completions") != bool(self.tokenizer):
            raise ConfigError(
                f"endpoint.mode is {self.mode} and endpoint.tokenizer {self.tokenizer!r}: "
                "mode=completions needs tokenizer=FOLDER, and nothing else does",
                "mode",
            )

    def wire(
        self, chat: Callable[[Any], TemplateChat] = TemplateChat
    ) -> ChatWire | CompletionsWire:
        """What is sent and read; `chat` makes the format of the local tokenizer.

        Raises:
            ConfigError: a tokenizer that cannot be loaded.
        """
        if self.mode == "chat":
            return ChatWire(native=self.tools == "native")
        if not Path(self.tokenizer).is_dir():
            raise ConfigError(
                f"endpoint.tokenizer is {self.tokenizer!r}: give a folder that exists", "tokenizer"
            )
        from transformers import AutoTokenizer

        with boundary(ConfigError, f"cannot load the tokenizer {self.tokenizer!r}"):
            return CompletionsWire(chat(AutoTokenizer.from_pretrained(self.tokenizer)))


def read_key(variable: str) -> str:
    """The key in an environment variable, empty for none. Raises: ConfigError."""
    key = os.environ.get(variable, "").strip()
    if not key and variable != KEY:
        raise ConfigError(f"the environment variable {variable} is not set: put the key there")
    if not (key.isascii() and (key.isprintable() and " " not in key)):
        raise ConfigError(f"the key in {variable} holds spaces or characters that no key has")
    return key
