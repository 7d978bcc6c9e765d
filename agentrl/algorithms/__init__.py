"""The algorithms by name, one file per paper; a record is imported when it is asked for."""

from __future__ import annotations

import importlib

from agentrl.algorithms.base import Algorithm
from agentrl.errors import ConfigError, suggestion

NAMES = {
    "dapo": "dapo:DAPO",
    "dr_grpo": "dr_grpo:DR_GRPO",
    "flow_grpo": "flow_grpo:FLOW_GRPO",
    "flow_grpo_release": "flow_grpo:FLOW_GRPO_RELEASE",
    "grpo": "grpo:GRPO",
    "gspo": "gspo:GSPO",
    "reinforce": "reinforce:REINFORCE",
    "rloo": "rloo:RLOO",
}


def algorithm(name: str) -> Algorithm:
    """The record of a name; `module:NAME` takes one from anywhere.

    Raises:
        ConfigError: unknown name, with the closest known one.
    """
    if name not in NAMES and ":" not in name:
        raise ConfigError(
            f"unknown algorithm {name!r}: {suggestion(name, list(NAMES))}", "algorithm"
        )
    module, _, attribute = NAMES.get(name, name).partition(":")
    path = f"agentrl.algorithms.{module}" if name in NAMES else module
    try:
        record = getattr(importlib.import_module(path), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot import the algorithm {name!r}: {error}", "algorithm") from error
    if not isinstance(record, Algorithm):
        raise ConfigError(f"{name!r} is not an Algorithm but {type(record).__name__}", "algorithm")
    return record
