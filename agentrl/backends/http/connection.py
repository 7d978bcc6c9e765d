"""The connection to an OpenAI-compatible server: paced requests, patience, errors as sentences.

The official client sends, and repeats with growing pauses what a busy or broken server refused;
around it stands the patience with a server that is gone. Every wait has an end.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Mapping
from typing import Any

from agentrl.backends.http.endpoint import Endpoint
from agentrl.errors import ContextOverflowError, MissingDependencyError, PolicyError

try:
    import aiolimiter
    from openai import APIError, APIStatusError, AsyncOpenAI, HttpxBinaryResponseContent
except ImportError as error:  # the extra `http` brings both
    raise MissingDependencyError(error.name or "openai", "pip install 'agentrl[http]'") from error

__all__ = ["APIError", "Connection", "is_full", "status_of"]

REPEATS = 4
"""Of the client, with pauses of 0.5, 1, 2 and 4 s or what the server names."""
PAUSE = 8.0
"""Seconds between rounds of repeats."""
FULL = re.compile(
    r"context.{0,3}(length|window|size|limit)|model length|prompt is too long|max_new_tokens",
    re.IGNORECASE,
)
"""How servers say that a context is longer than the model reads."""
logger = logging.getLogger(__name__)


class Pace:
    """The rate limits of one evaluation: requests evenly spaced, tokens from a bucket."""

    def __init__(self, requests: float | None, tokens: float | None) -> None:
        self.requests = None if requests is None else aiolimiter.AsyncLimiter(1, 60 / requests)
        self.tokens = None if tokens is None else aiolimiter.AsyncLimiter(tokens, 60)

    async def wait(self, tokens: int) -> None:
        """Until one more request of so many tokens may be sent."""
        if self.requests is not None:
            await self.requests.acquire()
        if self.tokens is not None:
            await self.tokens.acquire(min(tokens, self.tokens.max_rate))


class Connection:
    """A client of one server, for one event loop."""

    def __init__(self, url: str, key: str, endpoint: Endpoint) -> None:
        self.url = url
        self.endpoint = endpoint
        self.pace = Pace(endpoint.requests_per_minute, endpoint.tokens_per_minute)
        self.gone = False
        """Whether the patience with the server ran out and it has not come back since."""
        self._waiting = False
        self._key = key
        self._client = AsyncOpenAI(base_url=url, api_key=key or "none")

    async def close(self) -> None:
        """End all connections."""
        await self._client.close()

    async def send(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        patience: float = PAUSE,
        timeout: float | None = None,
    ) -> bytes:
        """One request, a GET without a body, and the client's repeats. Raises: APIError."""
        repeats = min(REPEATS, int(math.log2(2 * patience + 1)))  # their pauses last no longer
        seconds = timeout or self.endpoint.timeout_seconds
        client = self._client.with_options(max_retries=repeats, timeout=seconds)
        kind = HttpxBinaryResponseContent
        if body is None:
            return (await client.get(path, cast_to=kind)).content
        return (await client.post(path, cast_to=kind, body=dict(body))).content

    async def send_patiently(self, path: str, body: Mapping[str, Any]) -> bytes:
        """An answer's bytes, from a server that may be busy, broken or away for a while.

        Once it was away for longer than the patience, it is tried only once a request until it is
        back.

        Raises:
            ContextOverflowError: the server says that the context is too long.
            PolicyError: it refuses, or is away for too long.
        """
        patience = 0.0 if self.gone else self.endpoint.patience_seconds
        seconds = patience + self.endpoint.timeout_seconds
        try:
            async with asyncio.timeout(seconds):  # one that dribbles counts as silent
                raw = await self._repeatedly(path, body, patience)
        except TimeoutError as error:
            self.gone = True
            raise PolicyError(f"{self.url} did not answer within {seconds:g} s") from error
        except APIError as error:
            self.gone = passes(error)
            kind = ContextOverflowError if is_full(error) else PolicyError
            raise kind(f"{self.url}: {self.told(error)}") from error
        self.gone = self._waiting = False
        return raw

    async def _repeatedly(self, path: str, body: Mapping[str, Any], patience: float) -> bytes:
        clock = asyncio.get_running_loop().time
        until = clock() + patience
        while True:
            try:
                return await self.send(path, body, patience=patience)
            except APIError as error:
                pause = asked_pause(error)
                if not passes(error) or clock() + pause > until:
                    raise
                self._tell(error)
            await asyncio.sleep(pause)

    def _tell(self, error: APIError) -> None:
        if not self._waiting:
            patience = self.endpoint.patience_seconds
            logger.warning("%s: %s: waiting, up to %g s", self.url, self.told(error), patience)
        self._waiting = True

    def told(self, error: APIError) -> str:
        """An error in the server's words, or in the connection's."""
        if not isinstance(error, APIStatusError):
            cause = error.__cause__ or error
            return self.clean(f"{type(cause).__name__}: {cause}")
        body = error.body
        words = body.get("message") or body.get("detail") if isinstance(body, Mapping) else body
        return self.clean(f"{error.status_code}: {words or error.response.text or 'no reason'}")

    def clean(self, text: str) -> str:
        """One line of at most 300 characters without the key."""
        text = text.replace(self._key, "***") if self._key else text
        return " ".join(text.split())[:300]


def status_of(error: APIError) -> int:
    """The HTTP status behind an error, 0 for none."""
    return error.status_code if isinstance(error, APIStatusError) else 0


def passes(error: APIError) -> bool:
    """Whether waiting may mend an error."""
    status = status_of(error)
    busy = status in (0, 408, 409, 429) or status >= 500
    return busy and error.code != "insufficient_quota"


def is_full(error: APIError) -> bool:
    """Whether an error says that the context is too long."""
    told = f"{error.code} {error.message}"
    return status_of(error) in (400, 413, 422) and FULL.search(told) is not None


def asked_pause(error: APIError) -> float:
    """Seconds that the server asks to be left alone, `PAUSE` where it does not."""
    if not isinstance(error, APIStatusError):
        return PAUSE
    try:
        return max(PAUSE, float(error.response.headers.get("retry-after", PAUSE)))
    except ValueError:  # it may be a date
        return PAUSE
