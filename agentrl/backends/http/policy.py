"""Any OpenAI-compatible server as a policy: for evaluation, never for training.

    context -> JSON (`wire.py`) -> limits, request (`connection.py`) -> answer -> completion

Every failure is a sentence: before anything is played a `ConfigError`, afterwards one episode's
status.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from agentrl.backends.http.answer import Answer
from agentrl.backends.http.connection import APIError, Connection, is_full, status_of
from agentrl.backends.http.endpoint import KEY, Address, Endpoint, read_key
from agentrl.backends.http.prices import Account, read_price
from agentrl.chat import TemplateChat
from agentrl.errors import ConfigError, ContextOverflowError, PolicyError
from agentrl.protocols import Chat
from agentrl.types import Completion, Sampling, Span

ASKED = 3
"""Times that a server is asked whose answers cannot be read."""
START_SECONDS = 10.0
"""In which a server must say something before anything is played."""
PROBE_TOKENS = 16


class Model(BaseModel):
    """An entry of a server's list of models."""

    id: str
    max_model_len: int | None = None


class Models(BaseModel):
    """A server's list of models."""

    data: list[Model] = []


class HTTPPolicy:
    """A model behind an address; samples inside of `async with policy`, in that event loop.

    In chat mode the ids of a completion are characters and its log-probs zeros; `usage` holds the
    server's own counts, and dollars where prices are known. In completions mode ids and log-probs
    are the server's where it returns them, log-probs untempered unless it is started otherwise.

    Raises:
        ConfigError: a key, a tokenizer or a price that is not there.
    """

    version = 0

    def __init__(
        self,
        address: Address,
        endpoint: Endpoint,
        *,
        key_variable: str = KEY,
        name: str = "main",
        chat: Callable[[Any], TemplateChat] = TemplateChat,
    ) -> None:
        self.address = address
        self.endpoint = endpoint
        self.name = name
        self.key_variable = key_variable
        self.wire = endpoint.wire(chat)
        self.window = sys.maxsize
        self.figures: Mapping[str, float] = {}
        self.account = self._account()
        self._key = read_key(key_variable)
        self._connection: Connection | None = None

    @property
    def chat(self) -> Chat:
        """Characters, or the local tokenizer's format."""
        return self.wire.chat

    async def __aenter__(self) -> HTTPPolicy:
        self._connection = Connection(self.address.url, self._key, self.endpoint)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.connection.close()
        self._connection = None

    @property
    def connection(self) -> Connection:
        """The open connection. Raises: PolicyError."""
        if self._connection is None:
            raise PolicyError("the policy is closed: sample inside of `async with policy`")
        return self._connection

    async def complete(self, context: Sequence[Span], sampling: Sampling) -> Completion:
        """Sample once after `context`.

        Raises:
            ContextOverflowError: the context is longer than the model reads.
            PolicyError: the cost limit is reached, or the server refuses, filters the answer, is
                gone for longer than the patience, or answers what cannot be read.
        """
        body = self._body(context, sampling)
        size = self.wire.size(context) + sampling.max_tokens
        try:
            completion = await self._ask(body, size)
        except ContextOverflowError:
            if not self.wire.open_ended:
                raise
            # the context may fit and only the wanted length behind it not: take what is left
            left = {name: value for name, value in body.items() if name != self.wire.limit}
            completion = await self._ask(left, size)
        return replace(completion, policy=self.name)

    def seat(self) -> AbstractContextManager[None]:
        """Nothing: a server waits for nobody."""
        return nullcontext()

    def load(self) -> int:
        """Never. Raises: PolicyError."""
        raise PolicyError(f"{self.address.url} serves its own weights: it can only be evaluated")

    def rest(self) -> None:
        """Nothing: the server has its own accelerator."""

    def close(self) -> None:
        """Nothing: connections end with `async with`."""

    async def _ask(self, body: Mapping[str, Any], size: int) -> Completion:
        """A completion, asked for again where the answer cannot be read."""
        link, problem = self.connection, ""
        for _ in range(ASKED):
            self.account.admit()
            await link.pace.wait(size)
            self.account.admit()  # waiting takes time, and others spend
            raw = await link.send_patiently(self.wire.path, body)
            try:
                return self._read(raw)
            except ValueError as error:  # broken JSON, half an answer, none at all
                problem = f"{brief(error)}: {raw[:100].decode(errors='replace')}"
        raise PolicyError(
            f"{link.url} answered {ASKED} times what is no completion: {link.clean(problem)}"
        )

    def _body(self, context: Sequence[Span], sampling: Sampling) -> dict[str, Any]:
        written = self.wire.body(context, sampling)
        return {"model": self.address.name, **written, **self.endpoint.extra}

    def _read(self, raw: bytes) -> Completion:
        """What an answer holds, charged. Raises: PolicyError, ValueError."""
        answer = Answer.model_validate_json(raw)
        usage = self.account.charge(answer.usage)
        return replace(self.wire.completion(answer), usage=usage)

    # ---- before anything is played ----

    async def check(self, context: Sequence[Span]) -> None:
        """Ask once for a few tokens after `context`, the way all requests will be made.

        Raises:
            ConfigError: no server there, a wrong key, an unknown model, a refused request.
        """
        known = await self._models()
        self._choose(known)
        try:
            while not await self._probed(context, known):
                pass  # written otherwise now
        except ContextOverflowError:
            return  # an answer like any: every episode will record it
        except (PolicyError, ValueError) as error:  # a filter, or no answer of this protocol
            raise ConfigError(
                f"{self.address.url} answers no completion "
                f"({self.connection.clean(brief(error))}): is it an OpenAI-compatible server?"
            ) from error

    async def _probed(self, context: Sequence[Span], known: Sequence[Model]) -> bool:
        """Whether the server answered; False where the request is to be written otherwise."""
        try:
            body = self._body(context, Sampling(max_tokens=PROBE_TOKENS))
            self._read(await self.connection.send(self.wire.path, body))
        except APIError as error:
            told = self.connection.told(error)
            if is_full(error) or "output limit" in told:  # key and model are right
                return True
            if not self.wire.adapt(told):
                raise self._refusal(error, known) from error
            return False
        return True

    async def _models(self) -> list[Model]:
        """What the server lists, nothing where it lists nothing. Raises: ConfigError."""
        try:
            async with asyncio.timeout(START_SECONDS):
                raw = await self.connection.send("/models", timeout=START_SECONDS)
            return Models.model_validate_json(raw).data
        except APIError as error:
            if status_of(error) in (400, 404, 405, 501):
                return []
            raise self._refusal(error, []) from error
        except TimeoutError as error:
            raise ConfigError(
                f"{self.address.url} did not answer within {START_SECONDS:g} s: is the server up?"
            ) from error
        except ValidationError:  # some answer a page; the request that follows tells
            return []

    def _choose(self, known: Sequence[Model]) -> None:
        """Settle the model's name, price and window. Raises: ConfigError."""
        names = [model.id for model in known]
        if not self.address.name:
            if len(names) != 1:
                listed = f"has {', '.join(names[:20])}" if names else "lists no models"
                raise ConfigError(f"{self.address.url} {listed}: write openai:URL#NAME")
            self.address = self.address._replace(name=names[0])
            self.account = self._account()
        windows = {model.id: model.max_model_len for model in known}
        self.window = windows.get(self.address.name) or sys.maxsize
        self.wire.window = self.window

    def _account(self) -> Account:
        prices, name = self.endpoint.prices, self.address.name
        price = read_price(prices, name) if prices and name else None
        return Account(price, self.endpoint.dollars)

    def _refusal(self, error: APIError, known: Sequence[Model]) -> ConfigError:
        """The line that ends an evaluation before it begins."""
        url, told, status = self.address.url, self.connection.told(error), status_of(error)
        if status in (401, 403):
            wants = "refuses the key in" if self._key else "wants a key: put it in"
            return ConfigError(f"{url} {wants} {self.key_variable} ({told})")
        if status == 404:
            names = ", ".join(model.id for model in known[:20]) or "none"
            return ConfigError(f"{url} has no model {self.address.name!r} ({told}), but {names}")
        if status:
            return ConfigError(f"{url} refuses a request to {self.address.name!r} ({told})")
        return ConfigError(f"no server at {url} ({told}): is it running, and is the address right?")


def brief(error: Exception) -> str:
    """An error in a line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))} {first['msg']}".strip()
