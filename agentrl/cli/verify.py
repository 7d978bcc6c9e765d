"""`agentrl verify tokens --model PATH`: is what would be trained exactly what was sampled."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Any, cast, get_args

import typer

from agentrl.certify.certificate import MEANINGS, Certificate, certify
from agentrl.chat import CallName, TemplateChat
from agentrl.errors import ConfigError, PolicyError, boundary, suggestion


def tokens(
    model: str, *, conversations: int, seed: int, calls: str, thinking: bool | None, json: bool
) -> None:
    """Print the certificate of a model's tokenizer and chat template; exit 1 if it is not exact.

    Raises:
        AgentRLError: no such tokenizer, or one that cannot be talked with at all.
    """
    tokenizer, ends = tokenizer_of(model)
    chat = TemplateChat(tokenizer, ends, calls=form(calls), thinking=thinking)
    certificate = certify(chat, conversations=conversations, seed=seed)
    if json:
        typer.echo(json_module.dumps({**certificate.record(), "seed": seed}, indent=2))
    else:
        typer.echo("\n".join(report(certificate, chat, seed)))
    if not certificate.exact:
        raise typer.Exit(1)


def form(name: str) -> CallName:
    """The name of a format of tool calls. Raises: ConfigError for one that is none."""
    known = list(get_args(CallName))
    if name not in known:
        raise ConfigError(f"unknown format of calls {name!r}: {suggestion(name, known)}")
    return cast(CallName, name)


def tokenizer_of(model: str) -> tuple[Any, list[int]]:
    """A model's tokenizer, by folder or hub id, and the ends that its generation settings name."""
    from transformers import AutoTokenizer, GenerationConfig

    path = str(Path(model).expanduser()) if model.startswith("~") else model
    if (model.startswith((".", "/", "~")) or model.count("/") > 1) and not Path(path).is_dir():
        raise ConfigError(f"there is no folder {model!r}: give one that exists, or a hub id")
    with boundary(PolicyError, f"cannot load the tokenizer of {model!r}"):
        tokenizer = AutoTokenizer.from_pretrained(path)
    try:
        told = GenerationConfig.from_pretrained(path).eos_token_id
    except OSError:  # a tokenizer alone: the run's own model will tell
        told = None
    return tokenizer, [told] if isinstance(told, int) else list(told or ())


def report(certificate: Certificate, chat: TemplateChat, seed: int) -> list[str]:
    """The certificate as lines."""
    ends = ", ".join(repr(chat.template.spelling(end)) for end in sorted(chat.end_ids))
    lines = [f"{certificate.name}: a turn ends with {ends}; tool calls are {chat.calls.name}", ""]
    width = max(len(feature.name) for feature in certificate.features)
    for feature in certificate.features:
        lines.append(f"  {feature.name:<{width}}  the template {feature.template}")
        if feature.library != "appends":
            lines.append(f"  {'':<{width}}  -> the conversation {feature.library}")
    counts = (
        f"{certificate.conversations} conversations (seed {seed}): {certificate.turns} turns, "
        f"{certificate.tokens} sampled tokens, {certificate.forked} forked, "
        f"{certificate.refused} refused by the template"
    )
    lines += ["", counts]
    for name, meaning in MEANINGS.items():
        failed = certificate.failed[name]
        told = "holds" if not failed else f"BROKEN in {failed}"
        lines.append(f"  {name:<12} {told:<6}  {meaning}")
    for name, broken in certificate.first.items():
        script = json_module.dumps(certificate.record()["first"][name]["script"])
        lines += ["", f"{name}, first: {broken.complaint}", f"  script: {script}"]
    verdict = "certified" if certificate.exact else "NOT certified: report the scripts above"
    return [*lines, "", verdict]
