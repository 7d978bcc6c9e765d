"""`agentrl doctor`: what is installed, which extras work, and what to type where something is not.

`agentrl doctor mismatch` is in `cli/mismatch.py`.
"""

from __future__ import annotations

import json as json_module
import sys

import typer

from agentrl.doctor import Finding, Level, examine


def doctor(*, json: bool) -> None:
    """Print the report; exits with 1 if something is broken."""
    findings = examine()
    if json:
        typer.echo(json_module.dumps([as_data(finding) for finding in findings], indent=2))
    else:
        typer.echo("\n".join(line(finding) for finding in findings))
    if any(finding.level is Level.BROKEN for finding in findings):
        sys.exit(1)


def as_data(finding: Finding) -> dict[str, str]:
    """A finding for programs."""
    level = finding.level.value
    return {"what": finding.what, "level": level, "says": finding.says, "do": finding.do}


def line(finding: Finding) -> str:
    """A finding for people."""
    said = f"{finding.level.value:<7} {finding.what:<24} {finding.says}"
    return f"{said}\n{'':<32} -> {finding.do}" if finding.do else said
