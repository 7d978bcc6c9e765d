"""`docs/algorithms.md` from the code: one row per paper, its status and the tests that prove it.

make docs      writes the page; test_docs.py fails while it is not current
"""

import re
from pathlib import Path

import yaml
from golden_bindings import EXEMPT, golden_file

from agentrl.algorithms import NAMES
from agentrl.catalogue import SYSTEMS, difference, entries

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "algorithms.md"
STATUS = {
    "A": "as published",
    "B": "documented variant",
    "C": "text analogue",
    "D": "no record: nothing to train",
}
HEAD = """# The catalogue

Made from the code by `make docs`; do not edit. One row per paper; `agentrl show algorithms NAME`
prints a record as a difference from GRPO, with its formula and every argument.

Tiers: A, the formula is certain; B, parts are reconstructed and are open arguments, so the paper's
result is not claimed; C, a text analogue of a method from another domain; D, nothing to train.
Every record also passes `tests/test_catalogue.py` (zero credit, sign, degenerate groups, splits,
order, YAML, memory, docstring) and `tests/test_differential.py` (each part against a literal
formula on random groups).

| name | source | tier | certainty | what it is | changes | status | proven by |
|---|---|---|---|---|---|---|---|
"""


def papers():
    """`entry, variants` of every paper: records of one file are one row."""
    found = {}
    for entry in entries():
        paper = entry.place.partition(":")[0] or entry.name
        found.setdefault(paper, []).append(entry)
    for group in found.values():
        named = [e for e in group if e.place.partition(":")[0].endswith(f".{e.name}")]
        first = (named or group)[0]
        yield first, [e.name for e in group if e is not first]


def source(entry):
    """The arXiv number, or the source's first words."""
    number = re.search(r"\d{4}\.\d{5}", entry.source)
    return number.group(0) if number else re.split(r"[,(;]", entry.source)[0]


def changes(entry):
    """The slots that are not GRPO's."""
    if entry.name in SYSTEMS:
        return "layout"
    if entry.name not in NAMES:
        return "-"
    return ", ".join(slot for slot, _, _ in difference(entry.name)) or "nothing"


def proof(entry):
    """The tests that prove a row."""
    file = golden_file(entry.name)
    found = []
    if file is not None:
        count = len(yaml.safe_load(file.read_text())["cases"])
        found.append(f"`golden/{file.name}` ({count})")
    if entry.name in EXEMPT:
        found.append(f"`{EXEMPT[entry.name].removeprefix('tests/')}`")
    elif entry.name in NAMES:
        found.append(f"`test_must_learn[{entry.name}]`")
    elif entry.name in SYSTEMS:
        found.append("`tests/layouts/`")
    return ", ".join(found) or "-"


def row(entry, variants):
    """One line of the page."""
    also = f" ({', '.join(variants)})" if variants else ""
    certain = re.split(r"[;.(]", entry.certainty)[0].strip() or "-"
    cells = [
        f"{entry.name}{also}",
        source(entry),
        entry.tier,
        certain,
        entry.summary,
        changes(entry),
        "layout" if entry.name in SYSTEMS else STATUS[entry.tier],
        proof(entry),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page():
    """The whole page."""
    rows = [row(entry, variants) for entry, variants in papers()]
    return HEAD + "\n".join(sorted(rows)) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
