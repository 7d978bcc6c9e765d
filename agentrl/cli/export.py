"""`agentrl export RUN FOLDER`: a checkpoint as a folder that transformers and vLLM load."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import typer

from agentrl.errors import ConfigError, DataError, boundary

Form = Literal["merged", "adapter"]
DTYPES = ("same", "float32", "bfloat16", "float16")


def export(source: str, folder: str, *, form: Form, dtype: str) -> None:
    """Write the weights, the tokenizer with its chat template, and the generation configuration.

    Raises:
        ConfigError: no checkpoint there, no such dtype, or no adapters to export alone.
        DataError: the folder holds something, or cannot be written.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"unknown dtype {dtype!r}: choose {', '.join(DTYPES)}")
    checkpoint, target = checkpoint_of(source), empty(folder)
    model, tokenizer = loaded(checkpoint, form)
    if dtype != "same":
        model = model.to(getattr(sys.modules["torch"], dtype))
    with boundary(DataError, f"cannot write {folder!r}"):
        write(model, tokenizer, target)
    count = sum(parameter.numel() for parameter in model.parameters())
    what = "adapters" if form == "adapter" else f"{count / 1e6:.1f} M parameters, {model.dtype}"
    typer.echo(f"{target}: {what}, from {checkpoint}")


def checkpoint_of(source: str) -> Path:
    """The newest checkpoint of a run's folder, or the folder itself. Raises: ConfigError."""
    from agentrl.backends.load import check_path
    from agentrl.checkpoint import checkpoints

    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {source!r}: give a run's folder or a checkpoint")
    saved = checkpoints(folder)
    if saved:
        return saved[-1]
    if (folder / "run.yaml").is_file() and not (folder / "state.json").is_file():
        raise ConfigError(f"the run {source!r} has no complete checkpoint: train it first")
    check_path(str(folder.resolve()))
    return folder


def empty(folder: str) -> Path:
    """The folder to write into. Raises: DataError if it holds anything."""
    target = Path(folder).expanduser()
    with boundary(DataError, f"cannot write to {folder!r}, give another folder"):
        target.mkdir(parents=True, exist_ok=True)
        found = sorted(path.name for path in target.iterdir())
    if found:
        raise DataError(f"{folder!r} holds {found[0]!r}: give a new or empty folder")
    return target


def loaded(checkpoint: Path, form: Form) -> tuple[Any, Any]:
    """The model in the form that is written, and its tokenizer. Raises: ConfigError."""
    from transformers.utils import logging as transformers_logging

    from agentrl.backends.load import ADAPTER, pretrained

    adapted = (checkpoint / ADAPTER).is_file()
    if form == "adapter" and not adapted:
        raise ConfigError(
            f"{str(checkpoint)!r} holds a whole model and no adapters: export it with --merged"
        )
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model, tokenizer = pretrained(str(checkpoint), device="cpu")
    if adapted and form == "merged":
        model = model.merge_and_unload()
    return model, tokenizer


def write(model: Any, tokenizer: Any, target: Path) -> None:
    """What `from_pretrained` and `vllm serve` read; the end tokens are those that training used."""
    from agentrl.chat import TemplateChat

    known = model.generation_config.eos_token_id
    ends = {*TemplateChat(tokenizer).end_ids, *(known if isinstance(known, list) else [known])}
    whole = sorted(end for end in ends if end is not None)
    model.generation_config.eos_token_id = whole if len(whole) > 1 else whole[0]
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
