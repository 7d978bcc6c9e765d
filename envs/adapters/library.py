"""Foreign libraries, imported on use."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from collections.abc import Callable, Iterable
from typing import Any

from agentrl.errors import ConfigError, DataError, MissingDependencyError, suggestion

ESCAPES = re.compile("\x1b\\[[0-9;]*m")
MAX_REASON = 300
"""Characters of a foreign error that ours repeats."""


def load(module: str, package: str, extra: str) -> Any:
    """A module of an optional package. Raises: MissingDependencyError, naming the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:  # of the package, or of something that it imports
        top = module.split(".")[0]
        missing = package if (error.name or top).split(".")[0] == top else error.name
        raise MissingDependencyError(
            missing or package, f'pip install "agentrl[{extra}]"'
        ) from error


def known(kind: str, name: str, names: Iterable[str], key: str) -> str:
    """One of the names that a library knows. Raises: ConfigError, with the closest one."""
    found = list(names)
    if name not in found:
        hint = suggestion(str(name), found)
        if hint.startswith("known:") and len(found) > 20:
            hint = f"it has {len(found)}, such as {', '.join(sorted(found)[:3])}"
        raise ConfigError(f"unknown {kind} {name!r}: {hint}", key)
    return name


def made(what: str, make: Callable[[], Any]) -> Any:
    """What `make` brings, quietly.

    Raises:
        DataError: it wants a corpus that has to be downloaded first.
        ConfigError: it cannot be made as configured.
    """
    try:
        quiet = io.StringIO()  # libraries report their downloads
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            return make()
    except LookupError as error:
        if "nltk" not in str(error):
            raise ConfigError(f"{what} cannot be made: {reason(error)}") from error
        raise DataError(
            f"{what} needs a word list of nltk, which cannot be downloaded here: put it into a "
            "folder named by NLTK_DATA (`python -m nltk.downloader words`), or play another game"
        ) from error
    except Exception as error:  # a foreign constructor may raise anything
        raise ConfigError(f"{what} cannot be made: {reason(error)}") from error


def reason(error: Exception) -> str:
    """A foreign error as one line."""
    said = " ".join(ESCAPES.sub("", str(error)).replace("*", " ").split())
    return f"{type(error).__name__}: {said[:MAX_REASON]}"
