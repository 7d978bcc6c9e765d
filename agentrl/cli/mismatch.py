"""`agentrl doctor mismatch CONFIG`: play a little, and name what makes the engine-trainer gap."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from agentrl.cli.evaluate import last_checkpoint
from agentrl.config import load_run
from agentrl.errors import ConfigError, SyncError
from agentrl.protocols import Choice
from agentrl.types import Ids, join

if TYPE_CHECKING:
    from agentrl.mismatch.diagnosis import Diagnosis
    from agentrl.mismatch.evidence import Call, Evidence, Logits
    from agentrl.mismatch.processors import Processors
    from agentrl.session import Session

SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition": "repetition_penalty",
}
"""Our names of processors, and those of a generation configuration."""


def mismatch(
    config: str, overrides: Sequence[str], *, model: str, episodes: int, json: bool
) -> None:
    """Play, compare, print; exits with 1 where a cause is found. Raises: AgentRLError."""
    from agentrl.backends.load import check_path
    from agentrl.mismatch.diagnosis import Cause, diagnose
    from agentrl.session import Session

    run = load_run(config, overrides)
    if model:
        check_path(model)
    with Session(run, model or last_checkpoint(config, run)) as session:
        answer = diagnose(gather(session, episodes))
    typer.echo(json_module.dumps(as_data(answer)) if json else as_text(answer))
    if answer.cause is not Cause.NONE:
        sys.exit(1)


def gather(session: Session, episodes: int) -> Evidence:
    """Everything there is to know of some episodes that the run's policy plays now."""
    from agentrl.mismatch.evidence import Evidence
    from agentrl.mismatch.processors import Processors

    precision = session.run.learner.settings["precision"]
    declared = Processors(temperature=session.plan.temperature)
    dtype = name_of(session.model.dtype)
    learner = "bfloat16" if precision == "bf16" else dtype
    return Evidence(
        calls=with_scores(played(session, episodes), getattr(session.policy, "score", None)),
        logits=logits_of(session.model, half=precision == "bf16"),
        version=session.policy.version,
        declared=declared,
        dtypes=(getattr(session.policy, "dtype", dtype), learner),
        coarse=logits_of(session.model, half=True) if learner == "float32" else None,
        readings=readings(session.tokenizer),
        suspected=suspected(session.model, declared),
        differing=differing(session.policy),
    )


def played(session: Session, episodes: int) -> list[Call]:
    """The completions of one attempt at each of the first training tasks. Raises: ConfigError."""
    from agentrl.mismatch.evidence import Call

    choices = [Choice(task, 1) for task in session.train_tasks[:episodes]]
    groups = session.sample(choices, 0)
    mains = [episode.main for group in groups for episode in group.episodes]
    found = [
        Call(
            context=join(turn.spans),
            ids=turn.completion.ids,
            behaviour=turn.completion.logprobs,
            version=turn.completion.version,
        )
        for trajectory in mains
        for turn in trajectory.turns
    ]
    if not found:
        broken = next((main.error for main in mains if main.error), "no turn was played")
        raise ConfigError(f"there is nothing to compare: {broken}")
    return found


def with_scores(calls: Sequence[Call], score: Callable[[Ids], Any] | None) -> list[Call]:
    """The calls with the engine's own scores, if it gives any."""
    if score is None:
        return list(calls)
    return [replace(call, scores=score(call.whole)[len(call.context) - 1 :]) for call in calls]


def logits_of(model: Any, *, half: bool) -> Logits:
    """The learner's logits as `Evidence` asks for them, under autocast if `half`."""
    import torch

    def logits(ids: Ids, first: int) -> Any:
        device = next(model.parameters()).device
        given = torch.from_numpy(ids)[None].to(device)
        kept = len(ids) - first + 1
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
            output = model(given, logits_to_keep=kept, use_cache=False)
        return output.logits[0, :-1].float().cpu().clone()

    model.eval()
    return logits


def readings(tokenizer: Any) -> dict[str, Callable[[Ids], Ids]]:
    """What engines that are sent text, or that add tokens, make of a context."""
    import numpy as np

    def again(ids: Ids, **options: Any) -> Ids:
        text = tokenizer.decode(ids, **options)
        return np.array(tokenizer.encode(text, add_special_tokens=False), np.int64)

    found: dict[str, Callable[[Ids], Ids]] = {
        "the context's text tokenised again": again,
        "... without its special tokens": lambda ids: again(ids, skip_special_tokens=True),
        "the context without its first token": lambda ids: ids[1:],
    }
    start = tokenizer.bos_token_id
    if start is not None:
        found["a start token more"] = lambda ids: np.concatenate([[start], ids])
    return found


def suspected(model: Any, declared: Processors) -> Mapping[str, Processors]:
    """Sampling settings of the model's generation configuration, which servers apply unasked."""
    given = getattr(model, "generation_config", None)
    values = {ours: getattr(given, theirs, None) for ours, theirs in SETTINGS.items()}
    known = {name: value for name, value in values.items() if value is not None}
    cooler = declared.but(**known)
    warm = cooler.but(temperature=declared.temperature)
    named = {"generation_config.json": cooler, "generation_config.json but temperature": warm}
    return {name: suspect for name, suspect in named.items() if suspect != declared}


def differing(policy: Any) -> Sequence[str] | None:
    """What the engine's receipts say of its weights; None of an engine that shares the learner's.

    A receipt that does not hold is evidence here, and no reason to stop.
    """
    if not hasattr(policy, "receipts"):
        return None
    from agentrl.backends import sync

    expected = {name: sync.stamp(tensor) for name, tensor in policy.weights()}
    try:
        for told in policy.receipts():
            sync.check_receipt(expected, policy.version, sync.Receipt.read(told))
    except SyncError as error:  # the finding itself
        return [str(error)]
    return []


def name_of(dtype: Any) -> str:
    """A torch dtype in a word."""
    return str(dtype).removeprefix("torch.")


def as_data(answer: Diagnosis) -> dict[str, Any]:
    """Everything for programs."""
    return {
        "cause": answer.cause.value,
        "finding": answer.finding,
        "explanation": answer.explanation,
        "fix": answer.fix,
        "numbers": dict(answer.numbers),
        "trials": [{**trial._asdict(), "cause": trial.cause.value} for trial in answer.trials],
    }


def as_text(answer: Diagnosis) -> str:
    """The tests, one line each, and the culprit."""
    lines = [f"{'looked at':<22}{'guess':<44}{'left':>9}  "]
    for trial in answer.trials:
        left = "" if trial.residual is None else f"{trial.residual:.2g}"
        mark = "<-" if trial.explains else "  "
        lines.append(f"{trial.cause.value:<22}{trial.test:<44}{left:>9} {mark} {trial.note}")
    numbers = answer.numbers
    lines += [
        "",
        f"cause: {answer.cause.value} ({answer.finding})",
        f"{answer.explanation}; largest {numbers['max_abs']:.2g}, signed {numbers['mean']:+.2g}",
        f"what to do: {answer.fix}",
    ]
    return "\n".join(line.rstrip() for line in lines)
