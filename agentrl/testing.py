"""A pytest plugin: environments of your own under the rules that those of agentrl keep.

Installed with agentrl, it brings one fixture and costs nothing where it is not used:

    def test_my_environment(conforms):
        conforms(MyEnv)                              # a class, a function that makes one,
        conforms("mine/Env-v0", size=6, tasks=2)     # or a registered id; with its arguments

    test_rules = conformance_test(MyEnv)             # one test for each rule

A test that fails lists what `agentrl check-env` would. `agentrl.conformance` says what the rules
are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from agentrl.conformance.trials import Make

TASKS = 4
"""Played of each split."""


def factory(env: str | Make, arguments: dict[str, Any]) -> Make:
    """What makes a new instance at every call."""
    from agentrl.conformance import Recipe

    if isinstance(env, str):
        return Recipe(env, arguments)
    return partial(env, **arguments) if arguments else env


@pytest.fixture(scope="session")
def conforms() -> Callable[..., None]:
    """A check that fails the test with what keeps an environment from conforming."""

    def check(env: str | Make, *, tasks: int = TASKS, **arguments: Any) -> None:
        from agentrl.conformance import check_environment

        if findings := check_environment(factory(env, arguments), tasks=tasks):
            pytest.fail("\n".join(findings), pytrace=False)

    return check


def conformance_test(env: str | Make, *, tasks: int = TASKS, **arguments: Any) -> Any:
    """A test of each rule, for a module to bind to a name; they share what is played.

    A rule that has nothing to try, such as `oracle` where there is none, is skipped with the
    reason.
    """
    from agentrl.conformance import RULES, some
    from agentrl.conformance.trials import Skip, Subject

    @cache
    def subject() -> Subject:
        return Subject(recipe=factory(env, arguments), count=tasks)

    @pytest.mark.parametrize("rule", list(RULES))
    def test(rule: str) -> None:
        try:
            findings = some(RULES[rule], subject())
        except Skip as reason:
            pytest.skip(str(reason))
        if findings:
            pytest.fail("\n".join(findings), pytrace=False)

    return test
