"""Environments whose agents call typed functions.

    class Shop(ToolEnv):
        def new_task(self, rng): return {"wish": str(rng.choice(["tea", "milk"]))}
        def begin(self, data):
            self.basket = []
            return f"Buy {data['wish']}."
        @tool
        def add(self, item: Literal["tea", "milk"]) -> str:
            '''Put an item into the basket.'''
            self.basket.append(item)
            return f"{item} is in the basket"
        def said(self, text):                     # a text without calls ends the episode
            return Reply(done=True, success=self.basket == [self.data["wish"]])

State lives on the instance and begins anew in `begin`: one instance plays one episode at a time.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal

from agentrl.background import settle
from agentrl.calls import FORMATS, Called
from agentrl.env import Reply, TextEnv
from agentrl.errors import ConfigError, EnvError, ToolInputError, suggestion
from agentrl.functions import Offer, Tool, marked, marks, shown, tools_of
from agentrl.types import Message, Parse, ToolCall

Listing = Literal["template", "prompt", "names", "none"]
CUT = " ... cut after {} of {} characters"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one call came to."""

    call: ToolCall
    value: Any = None
    """What the tool returned; None where it failed."""
    text: str = ""
    """What the agent reads of it."""
    error: bool = False


class ToolEnv(TextEnv):
    """Base of environments with tools: methods that `tool` marks, functions, servers.

    Args:
        calls: the format of calls in text for models whose template teaches none.
        listing: how agents learn of their tools. `template`: as schemas for the model's chat
            template; `prompt`: schemas and the format of calls behind the system prompt; `names`:
            names before the first observation; `none`: not at all.
        max_calls: in one text; with more of them none is run.
        result_chars: of one result; a longer one is cut, and says so.
        tool_seconds: for an asynchronous tool. A synchronous one is under the deadline of the step.
        parallel: run the asynchronous calls of one text together, after the others; otherwise all
            calls run in the order in which they are written, so that an episode repeats.
        render_mode: as Gymnasium has it.
    """

    functions: Sequence[Offer] = ()
    """What is offered beside the marked methods: typed functions, `Tool`s, sources of tools."""

    def __init__(
        self,
        *,
        calls: str = "hermes",
        listing: Listing = "template",
        max_calls: int = 16,
        result_chars: int = 2000,
        tool_seconds: float = 10.0,
        parallel: bool = False,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        if calls not in FORMATS or calls == "plain":
            known = [name for name in FORMATS if name != "plain"]
            raise ConfigError(f"unknown call format {calls!r}: {suggestion(calls, known)}", "calls")
        self.calls = calls
        self.listing = listing
        self.max_calls = max_calls
        self.result_chars = result_chars
        self.tool_seconds = tool_seconds
        self.parallel = parallel
        self.form = FORMATS[calls]
        self.native = False
        self.heard = Called(Parse.NO_CALL)
        """What the last text held: calls, text, thought."""
        for name in marks(type(self)):
            if name in vars(self) or hasattr(ToolEnv, name):
                raise ConfigError(f"the tool {name!r} hides the environment's own: rename it")

    # ---- what a subclass says ----

    def offered(self) -> Sequence[Tool]:
        """What may be called now."""
        return [*marked(self), *tools_of(self.functions)]

    def said(self, text: str) -> Reply:
        """Take a text without calls, stripped of thinking: the answer, or what the user reads."""
        return Reply(done=True)

    def called(self, outcomes: Sequence[Outcome]) -> Reply:
        """What follows from calls that have run; `text` is added to their results."""
        return Reply()

    # ---- for oracles and experts ----

    def write(self, calls: Sequence[ToolCall], content: str = "", thinking: str = "") -> str:
        """An assistant's text with these calls, as this episode's agent writes them.

        Formats whose calls are a text of their own, such as Llama's, leave the content out.
        """
        thought = f"<think>\n{thinking}\n</think>\n\n" if thinking else ""
        called = self.form.write(calls)
        text = "\n".join(filter(None, [content, called]))
        return thought + (called if called and not self.form.parse(text).calls else text)

    # ---- play ----

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode; calls are then written as the agent's model does, if it does."""
        taught = (options or {}).get("calls", "plain")
        self.native = taught != "plain" and self.listing != "prompt"
        self.form = FORMATS[taught if self.native else self.calls]
        text, info = super().reset(seed=seed, options=options)
        tools = self.offered()
        names = [offer.name for offer in tools]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ConfigError(f"two tools are called {twice[0]!r}: rename one")
        if self.listing == "template":
            info["tools"] = tuple(deepcopy(offer.schema) for offer in tools)
        elif self.listing == "prompt":
            info["system"] = "\n\n".join(filter(None, [self.system_prompt, self.manual(tools)]))
        elif self.listing == "names":
            text = f"Tools: {' '.join(names)}\n{text}"
        self._screen = text
        return text, info

    def act(self, text: str) -> Reply:
        """Run the calls of a text, or take it as said."""
        self.heard = self.form.parse(text)
        if self.heard.status is Parse.MALFORMED:
            return Reply(text=f"Error: {self.heard.reason}", parse=Parse.MALFORMED)
        if self.heard.status is Parse.NO_CALL:
            return self.said(self.heard.content)
        if len(self.heard.calls) > self.max_calls:
            count = f"{len(self.heard.calls)} calls in one text, at most {self.max_calls} are run"
            return Reply(text=f"Error: {count}: none was", parse=Parse.MALFORMED)
        outcomes = self.run(self.heard.calls)
        return self._answered(outcomes, self.called(outcomes))

    def run(self, calls: Sequence[ToolCall]) -> list[Outcome]:
        """Run calls in order; together, if they are asynchronous and may be `parallel`."""
        tools = {offer.name: offer for offer in self.offered()}
        outcomes: list[Outcome] = []
        waiting: dict[int, Awaitable[Any]] = {}
        for number, call in enumerate(calls):
            outcomes.append(self._outcome(call, tools))
            if inspect.isawaitable(outcomes[-1].value):
                waiting[number] = outcomes[-1].value
                if not self.parallel:
                    self._finish(outcomes, waiting)
        self._finish(outcomes, waiting)
        return outcomes

    def _finish(self, outcomes: list[Outcome], waiting: dict[int, Awaitable[Any]]) -> None:
        """Put results where work was still waiting."""
        results = settle(list(waiting.values()), self.tool_seconds) if waiting else []
        for number, result in zip(waiting, results, strict=True):
            outcomes[number] = self._settled(outcomes[number].call, result)
        waiting.clear()

    def manual(self, tools: Sequence[Tool]) -> str:
        """The tools and how to call them, for models whose template does not say it."""
        listed = "\n".join(json.dumps(offer.schema["function"]) for offer in tools)
        example = self.form.write([ToolCall("name", {"argument": "value"})])
        return f"You can call these functions:\n{listed}\n\nWrite calls like this:\n{example}"

    def _outcome(self, call: ToolCall, tools: Mapping[str, Tool]) -> Outcome:
        if call.name not in tools:
            known = suggestion(call.name, list(tools)) if tools else "there is no tool now"
            return self._failed(call, f"no tool is called {call.name!r}: {known}")
        try:
            return self._settled(call, tools[call.name].call(call.arguments))
        except (Exception, SystemExit) as error:  # a tool is anybody's code: its failure is data
            return self._settled(call, error)

    def _settled(self, call: ToolCall, result: Any) -> Outcome:
        """A result, an exception in its place, or an awaitable that has yet to run.

        Raises:
            EnvError: the tool says that it is broken itself, which is not the agent's doing.
        """
        if isinstance(result, ToolInputError):
            return self._failed(call, str(result))
        if isinstance(result, EnvError):
            raise result
        if isinstance(result, BaseException):
            reason = "took too long" if isinstance(result, TimeoutError) else str(result)
            return self._failed(call, f"{call.name}: {reason or type(result).__name__}")
        text = "" if inspect.isawaitable(result) else self._cut(shown(result))
        return Outcome(call=call, value=result, text=text)

    def _failed(self, call: ToolCall, reason: str) -> Outcome:
        return Outcome(call=call, text=self._cut(f"Error: {reason}"), error=True)

    def _cut(self, text: str) -> str:
        limit, text = self.result_chars, text.encode(errors="replace").decode()  # no surrogates
        return text if len(text) <= limit else text[:limit] + CUT.format(limit, len(text))

    def _answered(self, outcomes: Sequence[Outcome], reply: Reply) -> Reply:
        """The reply with the calls' results before its own text."""
        if reply.messages:
            return reply
        text = "\n".join(filter(None, [*(one.text for one in outcomes), reply.text]))
        if not self.native:
            return replace(reply, text=text)
        results = [
            Message("tool", one.text, name=one.call.name, call=one.call.id or self._id(number))
            for number, one in enumerate(outcomes)
        ]
        more = [Message("user", reply.text)] if reply.text else []
        return replace(reply, text=text, messages=(*results, *more))

    def _id(self, number: int) -> str:
        """An id for a call that has none, in the nine characters that Mistral's templates want."""
        return f"call{self.turn % 1000:03d}{number:02d}"
