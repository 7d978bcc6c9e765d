"""The package's simulated services, called by name with arguments that are already values.

The classes and their methods are the package's. It calls them through `eval`; here a method is
looked up in a table of the episode's own instances, so that a text can name what is in the table
and nothing else. Results read exactly as the package prints them, errors too.

Some methods take as long or as much memory as their arguments say. Those are bounded, far beyond
what any gold call asks for; a refusal reads like any other error.
"""

from __future__ import annotations

import ast
import copy
import decimal
import inspect
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from agentrl.envs.bfcl.data import Entry
from agentrl.envs.bfcl.package import SERVICES, constant, load
from agentrl.errors import DataError
from agentrl.types import ToolCall

DIGITS = 10_000
"""Of a number that a call may ask for."""
BITS = 100_000
"""Of a power."""
CHARACTERS, DEPTH = 1 << 19, 100
"""Of all paths in a tree of directories that is walked: copies share their contents, so a few calls
double it."""
PRINTED = 1 << 23
"""Characters that one episode's calls print in all; the longest gold calls print a tenth."""
FAILED = "Error during execution: "
ONE_AT_A_TIME = threading.Lock()
"""Some methods change what belongs to their module or to the process, such as mpmath's precision.
Every call is over in milliseconds."""


class Services:
    """One episode's instances of the services of one entry; state stays between calls."""

    def __init__(self, entry: Entry) -> None:
        self.instances = {name: _instance(name, entry) for name in entry.services}
        self.printed = 0
        """Characters, by all calls."""
        self.methods: dict[str, Callable[..., Any]] = {}
        for instance in self.instances.values():
            for name, method in inspect.getmembers(instance, inspect.ismethod):
                if not name.startswith("_"):
                    self.methods[name] = method

    def call(self, call: ToolCall) -> str:
        """What a call prints; never raises."""
        method = self.methods.get(call.name)
        if method is None:
            return f"{FAILED}name {call.name.partition('.')[0]!r} is not defined"
        if self.printed > PRINTED:
            return f"{FAILED}more than {PRINTED} characters were printed"
        result = self._called(method, call)
        self.printed += len(result)
        return result

    def _called(self, method: Any, call: ToolCall) -> str:
        with ONE_AT_A_TIME, decimal.localcontext(), load("mpmath").workdps(15):
            try:
                guard = GUARDS.get(call.name)
                if guard is not None and (reason := guard(method.__self__, call.arguments)):
                    return FAILED + reason
                return printed(method(**call.arguments))
            except Exception as error:  # the services raise anything for wrong arguments
                return f"{FAILED}{error}"

    def read(self, text: str) -> ToolCall:
        """A gold call, which is Python text, as a call whose arguments all have names.

        Raises:
            DataError: text that is no call of one of the methods with literals.
        """
        try:
            node: Any = ast.parse(text, mode="eval").body
            method = self.methods[node.func.id]
            given = [ast.literal_eval(argument) for argument in node.args]
            named = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
            bound = inspect.signature(method).bind(*given, **named)
        # each step has a way of its own to say that the text is something else
        except (AttributeError, KeyError, SyntaxError, TypeError, ValueError) as error:
            raise DataError(f"BFCL's gold call {text!r} cannot be read: {error}") from error
        return ToolCall(node.func.id, bound.arguments)


def printed(value: Any) -> str:
    """What a method returned, as the package shows it to models."""
    if type(value) is str:
        return value
    if type(value) is dict:
        try:
            return json.dumps(value)
        except (TypeError, ValueError):  # it may hold objects
            return str(value)
    return str(value)


def _instance(name: str, entry: Entry) -> Any:
    """A service in its initial state, which it shares with nothing: not even the module."""
    module = constant(SERVICES, "CLASS_FILE_PATH_MAPPING")[name]
    made = getattr(load(module), name)()
    if name in constant(SERVICES, "STATELESS_CLASSES"):
        return made
    with ONE_AT_A_TIME:
        made._load_scenario(
            copy.deepcopy(entry.config.get(name, {})), long_context=entry.long_context
        )
        return copy.deepcopy(made)


# Guards: why a call is not made, empty where it is


def _logarithm(_: Any, arguments: Mapping[str, Any]) -> str:
    texts = [name for name in ("value", "base") if isinstance(arguments.get(name), str)]
    if any("e" in arguments[name].lower() for name in texts):
        return "a number is expected"
    return _digits(_, arguments)


def _digits(_: Any, arguments: Mapping[str, Any]) -> str:
    for name in ("precision", "decimal_places"):
        try:
            wanted = abs(int(arguments.get(name, 0)))
        except (TypeError, ValueError):  # the method says what it thinks of it
            continue
        if wanted > DIGITS:
            return f"{name} is more than {DIGITS}"
    return ""


def _power(_: Any, arguments: Mapping[str, Any]) -> str:
    base, exponent = arguments.get("base"), arguments.get("exponent")
    if not (isinstance(base, int) and isinstance(exponent, int)):
        return ""
    too_long = base.bit_length() * exponent > BITS
    return f"the result has more than {BITS} bits" if too_long else ""


def _tree(system: Any, _: Mapping[str, Any]) -> str:
    characters, waiting = 0, [(system.root, 0, 0)]
    while waiting:
        folder, depth, length = waiting.pop()
        for name, item in getattr(folder, "contents", {}).items():
            characters += (path := length + len(name) + 1)
            if characters > CHARACTERS or depth > DEPTH:
                return f"the paths have more than {CHARACTERS} characters or {DEPTH} levels"
            waiting.append((item, depth + 1, path))
    return ""


GUARDS: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "logarithm": _logarithm,
    "square_root": _digits,
    "round_number": _digits,
    "power": _power,
    "find": _tree,
    "du": _tree,
}
