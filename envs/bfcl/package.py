"""The one place that touches the package bfcl-eval: its data, its judges, its simulated services.

Everything that grades an answer here is the package's own. Two things of it are kept out:

* `execute_multi_turn_func_call` calls `eval` on what a model wrote, and keeps its instances in the
  globals of a module. Calls are dispatched by name instead (`backends.py`), on instances of their
  own for every episode.
* `constants.model_config`, which the AST checker imports for one flag, imports the clients of every
  vendor, a gigabyte of them, and makes folders beside the installed package. A stand-in with that
  flag takes its place while the checker is imported, and is gone afterwards: whoever imports the
  real one later gets it, and a checker that reads it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from agentrl.errors import DataError, MissingDependencyError

VERSION = "2026.3.23"
LIGHT = "tree_sitter==0.21.3 tree-sitter-java==0.21.0 tree-sitter-javascript==0.21.4 mpmath"
REMEDY = f"pip install --no-deps bfcl-eval=={VERSION} && pip install {LIGHT}"
"""The package itself asks for torch, faiss and the clients of ten vendors: 4 GB that nothing here
uses."""

REGISTRY = "bfcl_eval.constants.model_config"
CHECKER = "bfcl_eval.eval_checker.ast_eval.ast_checker"
TURNS = "bfcl_eval.eval_checker.multi_turn_eval.multi_turn_checker"
PROMPTS = "bfcl_eval.constants.default_prompts"
SERVICES = "bfcl_eval.constants.executable_backend_config"
FLAGS = {"dots": False, "underscores": True}
"""Stand-ins for models by how they write names such as `math.factorial`: as they are, or with
underscores, where an interface allows no dots."""
UNREADABLE = "ast_checker:unreadable"
"""The type of the one error that is not the package's: its checker raised."""
IMPORTING = threading.RLock()

Verdict = Mapping[str, Any]
"""`valid`, and where it is not: `error` or `error_message`, `error_type` and more."""


def version() -> str:
    """Of the installed package. Raises: MissingDependencyError."""
    try:
        return importlib.metadata.version("bfcl-eval")
    except importlib.metadata.PackageNotFoundError as error:  # an optional package
        raise MissingDependencyError("bfcl-eval", REMEDY) from error


def load(name: str) -> ModuleType:
    """A module of the package. Raises: MissingDependencyError."""
    try:
        return importlib.import_module(name)
    except ImportError as error:  # of the package, or of something that it imports
        raise MissingDependencyError(error.name or "bfcl-eval", REMEDY) from error


def constant(module: str, name: str) -> Any:
    """A value that a module of the package defines. Raises: MissingDependencyError."""
    return getattr(load(module), name)


def lines(*path: str) -> list[dict[str, Any]]:
    """The objects of a data file, one per line. Raises: MissingDependencyError, DataError."""
    folder = Path(str(load("bfcl_eval").__file__)).parent / "data"
    file = folder.joinpath(*path)
    if not file.is_file():
        raise DataError(f"bfcl-eval {version()} has no file {'/'.join(path)}: install {VERSION}")
    with file.open(encoding="utf-8") as read:
        return [json.loads(line) for line in read]


# Judges


def written(name: str, dots: bool) -> str:
    """A function's name as an interface has it."""
    return name if dots else re.sub(r"\.", "_", name)


def check_calls(
    functions: Sequence[Mapping[str, Any]],
    decoded: Sequence[Mapping[str, Any]],
    possible: Sequence[Mapping[str, Any]],
    category: str,
    dots: bool,
) -> Verdict:
    """What the package's AST checker says of calls as `[{name: arguments}, ..]`."""
    checker, language = ast_checker()
    model = "dots" if dots else "underscores"
    try:
        verdict = checker(list(functions), list(decoded), list(possible), language, category, model)
    # it takes for granted that a list of objects holds objects, that an integer fits into a float
    except Exception as error:
        reason = [f"The checker cannot read the arguments. {type(error).__name__}: {error}"]
        return {"valid": False, "error": reason, "error_type": UNREADABLE}
    return dict(verdict)


def check_turn(
    model: Mapping[str, object],
    gold: Mapping[str, object],
    heard: Sequence[str],
    expected: Sequence[str],
    turn: int,
) -> Verdict:
    """What the package's checkers of states and of responses say of one user turn.

    `heard` holds the results of all calls so far, `expected` those of this turn's gold calls.
    """
    checks = load(TURNS)
    try:
        verdict = checks.state_checker(model, gold)
    except RecursionError:  # a directory that was copied into itself equals nothing
        kind = "multi_turn:instance_state_mismatch"
        return {"valid": False, "error_message": f"endless in turn {turn}", "error_type": kind}
    if verdict["valid"]:
        verdict = checks.response_checker(list(heard), list(expected), turn)
    return dict(verdict)


@lru_cache(maxsize=1)
def ast_checker() -> tuple[Any, Any]:
    """The AST checker and its name of Python. Raises: MissingDependencyError."""
    with IMPORTING, stand_in():
        return load(CHECKER).ast_checker, load("bfcl_eval.constants.enums").Language.PYTHON


@contextmanager
def stand_in() -> Iterator[None]:
    """A registry of models in place of the package's, and a fresh checker that reads it."""
    registry = ModuleType(REGISTRY)
    flags = {name: SimpleNamespace(underscore_to_dot=flag) for name, flag in FLAGS.items()}
    registry.__dict__["MODEL_CONFIG_MAPPING"] = flags
    before = {name: sys.modules.pop(name, None) for name in (REGISTRY, CHECKER)}
    sys.modules[REGISTRY] = registry
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
