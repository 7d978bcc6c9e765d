"""Every hand-computed number of every paper, checked against the part that training runs."""

import math
from pathlib import Path

import pytest
import yaml
from golden_bindings import BINDINGS

FOLDER = Path(__file__).parent / "golden"
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
CASES = [(name, case) for name, content in FILES.items() for case in content["cases"]]


def outputs(name, case):
    """What the bound callable answers to a case."""
    bound = BINDINGS.get((name, case["piece"]))
    assert bound is not None, f"nothing is bound to {(name, case['piece'])}: add it to BINDINGS"
    grouped = {"groups": case["groups"]} if "groups" in case else {}
    return bound(**case.get("options", {}), **case.get("inputs", {}), **grouped)


def differences(expected, actual, tolerance, path=""):
    """Every place where two nested values differ."""
    if isinstance(expected, dict):
        pairs = [(expected[key], actual[key], f"{path}.{key}") for key in expected]
    elif isinstance(expected, list):
        if len(expected) != len(actual):
            return [f"{path}: {actual} has not {len(expected)} elements"]
        pairs = [
            (e, a, f"{path}[{i}]") for i, (e, a) in enumerate(zip(expected, actual, strict=True))
        ]
    elif isinstance(expected, (str, bool)) or expected is None:
        same = type(actual) is type(expected) and actual == expected
        return [] if same else [f"{path}: {actual!r} is not {expected!r}"]
    else:
        close = math.isfinite(actual) and abs(actual - expected) <= tolerance
        return [] if close else [f"{path}: {actual!r} is not {expected!r}"]
    return [line for e, a, where in pairs for line in differences(e, a, tolerance, where)]


def check(name, piece):
    """All cases of one paper's piece; what `test_faults.py` turns against a broken library."""
    cases = [case for case in FILES[name]["cases"] if case["piece"] == piece]
    assert cases, f"no case of {name} is about {piece}"
    for case in cases:
        found = differences(case["expect"], outputs(name, case), case["tolerance"])
        assert not found, f"{case['title']}: {found}"


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{n}-{c['title']}" for n, c in CASES])
def test_golden_case(name, case):
    assert not differences(case["expect"], outputs(name, case), case["tolerance"])


def test_files_are_named_after_their_paper():
    assert FILES
    assert all(content["name"] == name for name, content in FILES.items())
