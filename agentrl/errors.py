"""The errors that agentrl raises on purpose, and where foreign exceptions become ours.

    AgentRLError
    |-- ConfigError     a key, value or combination that cannot run; before any model is loaded
    |   `-- MissingDependencyError    a package that an extra or a Make target installs
    |-- DataError       a file, task or checkpoint that is not what it should be
    |   `-- EmptySplitError    a split without tasks
    |-- EnvError        an environment raised, hung or answered nonsense
    |   `-- ToolError   a tool that an environment uses did
    |       `-- ToolInputError    it refuses a call: an observation
    |-- PolicyError     a model, engine or tokenizer did
    |   `-- ContextOverflowError    a context that is longer than the model reads
    `-- SyncError       an engine does not serve the learner's weights

Every message holds the offending value and what mends it. `EnvError` and `PolicyError` never leave
a rollout: they become the `Status` of one episode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class AgentRLError(Exception):
    """An error that the user can mend; the command line prints it as one line and exits with 2."""


class ConfigError(AgentRLError):
    """A key, value or combination in the configuration that cannot run.

    `key` names the offending key, dotted, so that a loader can add its file and line.
    """

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class MissingDependencyError(ConfigError):
    """A package is not installed; the message names the extra or the Make target that brings it."""

    def __init__(self, package: str, remedy: str) -> None:
        super().__init__(f"the package {package!r} is not installed: run `{remedy}`")


class DataError(AgentRLError):
    """A file, a task or a checkpoint that is not what it should be."""


class EmptySplitError(DataError):
    """An environment has no task in a split; a small pool may have them all in the other one."""


class EnvError(AgentRLError):
    """An environment raised, hung or answered nonsense."""


class ToolError(EnvError):
    """A tool that an environment uses failed."""


class ToolInputError(ToolError):
    """A tool refuses a call, for its arguments or its state; agents read why as an observation."""


class PolicyError(AgentRLError):
    """A model, an engine or a tokenizer failed."""


class ContextOverflowError(PolicyError):
    """A context is longer than the model reads: the episode ends in `CONTEXT_LIMIT`."""


class SyncError(AgentRLError):
    """An engine does not serve the learner's weights: it ends the run and is no episode's data."""


@contextmanager
def boundary(kind: type[AgentRLError], doing: str) -> Iterator[None]:
    """Turn a foreign exception inside the block into `kind`; ours and interrupts stay as they are.

    Raises:
        kind: with the message `<doing>: <type>: <message>`; the original is its cause.
    """
    try:
        yield
    except AgentRLError:
        raise
    except Exception as error:
        raise kind(f"{doing}: {type(error).__name__}: {error}") from error


def suggestion(name: str, known: list[str]) -> str:
    """The tail of a message about an unknown name: the closest known one, or all of them."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(sorted(known)) or 'none'}"
