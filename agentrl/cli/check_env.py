"""`agentrl check-env ID`: the conformance suite over an environment, its variants, or all of them.

The report of one environment is

    {"id", "variant", "findings": [{"rule", "finding"}], "library": [...], "skipped": {rule: why},
     "speed": {...}, "unavailable": why}

`library` holds what an adapter mends: the same rules with `mend=False`. They do not fail the check.
"""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import typer
from gymnasium.envs.registration import registry

from agentrl.conformance import RULES, Recipe, examine
from agentrl.conformance.speed import speed
from agentrl.conformance.watch import watched
from agentrl.env import TextEnv, env_class, load_registration
from agentrl.errors import AgentRLError, ConfigError
from agentrl.signature import parameters, written_arguments

Report = dict[str, Any]


def check_env(
    env: str | None, arguments: Sequence[str], *, all: bool, tasks: int, seconds: float, json: bool
) -> None:
    """Print a report of each; exit 1 if one does not conform. Raises: AgentRLError."""
    if bool(env) == all:
        raise ConfigError("name one environment, or give --all")
    reports, out = list[Report](), sys.stdout
    with redirect_stdout(sys.stderr):  # what environments print is no part of the report
        for id, variant, settings in every() if env is None else chosen(env, arguments):
            reports.append(reported(id, variant, settings, tasks, seconds))
            if not json:
                typer.echo("\n".join(lines(reports[-1])), file=out)
    if json:
        typer.echo(json_module.dumps(reports, indent=2))
    if env and all_unavailable(reports):
        raise ConfigError(f"{env} cannot be checked here: {reports[0]['unavailable']}")
    if any(report["findings"] for report in reports):
        raise typer.Exit(1)


def every() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every variant of every registered environment of ours: id, variant's name, arguments."""
    load_registration("")
    for id in sorted(name for name in registry if name.startswith("agentrl/")):
        yield from chosen(id, ())


def chosen(env: str, arguments: Sequence[str]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """What is checked of one environment: what the arguments say, else all its variants."""
    kind = env_class(env)
    if not issubclass(kind, TextEnv):
        raise ConfigError(f"{env} is no TextEnv: check agentrl/Gymnasium-v0 wraps={env}")
    if arguments:
        return [(env, " ".join(arguments), written_arguments(kind, arguments))]
    variants = kind.variants() or {"": {}}  # with none it says what it needs
    return [(env, name, given) for name, given in variants.items()]


def reported(
    id: str, variant: str, arguments: Mapping[str, Any], tasks: int, seconds: float
) -> Report:
    """The report of one environment; `seconds` is what measuring its speed may take."""
    report: Report = {"id": id, "variant": variant, "findings": [], "library": [], "skipped": {}}
    recipe = Recipe(id, arguments)
    if unavailable := missing(recipe):
        return {**report, "speed": {}, "unavailable": unavailable}
    mends, verdict = env_class(id).mends, examine(recipe, tasks=tasks)
    report["findings"] = [finding._asdict() for finding in verdict.findings]
    report["skipped"] = verdict.skipped
    if mends:
        bare = examine(Recipe(id, {**arguments, "mend": False}), tasks=tasks)
        report["library"] = [finding._asdict() for finding in bare.findings]
    return {**report, "speed": measured(recipe, seconds), "unavailable": ""}


def missing(recipe: Recipe) -> str:
    """Why an environment cannot be made here: an extra, a file, a server; else nothing."""
    try:
        known = parameters(env_class(recipe.id)).values()
        needed = [p.name for p in known if p.required and p.name not in recipe.arguments]
        if needed:
            return f"it needs {', '.join(needed)}: give key=value"
        watched(lambda: recipe().close())
    except (AgentRLError, ImportError) as error:
        return str(error)
    except (Exception, SystemExit):  # a fault of the environment, which the rule `factory` tells
        return ""
    return ""


def measured(recipe: Recipe, seconds: float) -> Report:
    """The speed; empty without time for it, and where stepping breaks, which a rule tells."""
    try:
        return watched(lambda: speed(recipe, seconds)) if seconds else {}
    except (Exception, SystemExit):  # whatever a broken environment raises is among the findings
        return {}


def all_unavailable(reports: Sequence[Report]) -> bool:
    """Whether there was nothing that could be checked."""
    return all(report["unavailable"] for report in reports)


def lines(report: Report) -> Iterator[str]:
    """A report as it is read."""
    name = f"{report['id']} {report['variant']}".strip()
    if report["unavailable"]:
        yield f"{name}: not checked: {report['unavailable']}"
        return
    findings, tried = report["findings"], len(RULES) - len(report["skipped"])
    outcome = f"{len(findings)} findings" if findings else "conforms"
    yield f"{name}: {outcome}, {tried} rules{_speed(report['speed'])}"
    for kind in ("findings", "library"):
        mark = "the library's own: " if kind == "library" else ""
        yield from (f"  {mark}{one['rule']}: {one['finding']}" for one in report[kind])
    for why in dict.fromkeys(report["skipped"].values()):
        rules = ", ".join(rule for rule, reason in report["skipped"].items() if reason == why)
        yield f"  not tried: {rules}: {why}"


def _speed(told: Mapping[str, Any]) -> str:
    """The speed in half a line."""
    if not told or told["p50_ms"] is None:
        return ""
    rates = ", ".join(f"{n}: {rate:,.0f}" for n, rate in told["steps_per_second"].items())
    size = "" if told["kilobytes"] is None else f", {told['kilobytes']:g} kB each"
    return f"; step {told['p50_ms']:g} ms, p99 {told['p99_ms']:g} ms{size}; steps/s at {rates}"
