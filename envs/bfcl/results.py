"""The package's own result and score files, as its command line reads and writes them.

    result/PLAYER/GROUP/BFCL_v4_CATEGORY_result.json    a line per entry: what the model said
    score/PLAYER/GROUP/BFCL_v4_CATEGORY_score.json      the accuracy, then a line per wrong answer

Results are written as those of a model that calls functions through an interface: every text as
`[{name: arguments in JSON}, ..]`, or as it is if it holds no call. The official `bfcl evaluate`
reads them under the name of such a model (`gpt-4o-2024-11-20-FC`, for example), which it takes from
the folder PLAYER.

That command evaluates conversations with `eval`. What a model wrote is made harmless here: a call
of a function that no service has, or with an argument that is no identifier, keeps its place as a
call that fails there as it failed here. Arguments on which the checker itself breaks are written as
text, which is wrong too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agentrl.envs.bfcl.data import CATEGORIES, PREFIX, UNSOLVABLE, Entry, entries, entry, group
from agentrl.envs.bfcl.data import number as place
from agentrl.envs.bfcl.judge import Trial, decoded, judged
from agentrl.envs.bfcl.package import UNREADABLE, Verdict, written
from agentrl.envs.bfcl.services import Services
from agentrl.types import Episode, Group, ToolCall, Turn

Result = Any
"""What a text came to: `[{name: arguments in JSON}, ..]`, or the text."""
NOT_AN_ANSWER = "Not played: the checker refuses every answer to this entry."
NO_KEYS = "'str' object has no attribute 'keys'"
UNDECODED: Mapping[bool, Mapping[str, Any]] = {
    False: {
        "error": [f"Invalid syntax. Failed to decode AST. {NO_KEYS}"],
        "error_type": "ast_decoder:decoder_failed",
    },
    True: {
        "error": [f"Invalid syntax. Failed to decode AST when it should have. {NO_KEYS}"],
        "error_type": "relevance_error:decoder_failed",
    },
}
"""What the package says of a text that is no call, where a call is wanted: in relevance, or not."""


class Line(NamedTuple):
    """One entry's line in the result file."""

    entry: Entry
    result: Any
    """A Result, or in a conversation a list of them per user turn."""
    tokens: Mapping[str, Any]


def as_result(calls: Sequence[ToolCall], text: str) -> Result:
    """What the package's handlers make of a text."""
    if not calls:
        return text
    return [{written(call.name, False): json.dumps(dict(call.arguments))} for call in calls]


def calls_of(result: Result) -> list[ToolCall]:
    """The calls of a result, none for a text."""
    if isinstance(result, str):
        return []
    return [ToolCall(name, json.loads(given)) for one in result for name, given in one.items()]


def export(groups: Sequence[Group], folder: Path, player: str) -> list[Path]:
    """Write the files of every category that was played; which were made.

    One line per task: its first attempt that did not fail. A task without one has no line, and the
    official command line then wants `--partial-eval`. Entries that nobody can solve get a line when
    the rest of their category is there, so that the command line finds the category complete.
    """
    found: list[Path] = []
    name = player.replace("/", "_")
    for category, lines in by_category(groups).items():
        inside = Path(name) / group(category)
        result = folder / "result" / inside / f"{PREFIX}_{category}_result.json"
        _write(result, map(_result_line, lines))
        score = folder / "score" / inside / f"{PREFIX}_{category}_score.json"
        _write(score, _score_lines(lines, category, name), ascii=False)
        found += [result, score]
    return found


def by_category(groups: Sequence[Group]) -> dict[str, list[Line]]:
    """The lines of each category that has any, in the package's order."""
    found: dict[str, dict[str, Line]] = {}
    for one in groups:
        if one.live:
            line = _line(entry(str(one.task.data["id"])), one.live[0])
            found.setdefault(line.entry.category, {})[line.entry.id] = line
    for category, lines in found.items():
        left = entries(category).keys() - lines.keys()
        if left and left <= UNSOLVABLE.keys():
            lines.update({id: Line(entry(id), NOT_AN_ANSWER, {}) for id in left})
    return {
        category: sorted(found[category].values(), key=lambda line: place(line.entry.id))
        for category in CATEGORIES
        if category in found
    }


def verdict_of(line: Line) -> Verdict:
    """What the package says of a line."""
    if not line.entry.multi_turn:
        return judged(line.entry, calls_of(line.result), False)
    trial = Trial(line.entry)
    for turn in line.result:
        for result in turn:
            trial.run(calls_of(result))
        trial.close()
    return trial.verdict


def _line(one: Entry, episode: Episode) -> Line:
    """An episode as a line; one that a limit ended says so, as the package's generation does."""
    said = [turn.completion for turn in episode.main.turns]
    context = [_read(turn) for turn in episode.main.turns]
    sampled = [completion.num_tokens for completion in said]
    if episode.main.answer is None:
        reason = f"Error during inference: {episode.main.status.value}"
        return Line(one, [] if one.multi_turn else reason, {})
    result = json.loads(episode.main.answer)
    if not one.multi_turn:
        if judged(one, calls_of(result), False).get("error_type") == UNREADABLE:
            result = json.dumps(result)
        counts = {"input_token_count": context[0], "output_token_count": sampled[0]}
        return Line(one, result, counts)
    counted = {
        "input_token_count": _shaped(context, result),
        "output_token_count": _shaped(sampled, result),
    }
    return Line(one, _harmless(one, result), counted)


def _read(turn: Turn) -> int:
    """Tokens of a turn's context, as a server counted them where one did."""
    usage = turn.completion.usage
    return usage.prompt if usage else sum(len(span.ids) for span in turn.spans)


def _shaped(values: Sequence[int], turns: Sequence[Sequence[Any]]) -> list[list[int]]:
    """A value per text, in lists per user turn."""
    rest = iter(values)
    return [[next(rest, 0) for _ in turn] for turn in turns]


def _harmless(one: Entry, turns: Sequence[Sequence[Result]]) -> list[list[Result]]:
    """A conversation without anything that `eval` could take for more than a call with values."""
    methods = Services(one).methods

    def safe(name: str, given: str) -> dict[str, str]:
        if name in methods and all(key.isidentifier() for key in json.loads(given)):
            return {name: given}
        return {"unknown_" + re.sub(r"\W", "_", name): "{}"}

    def step(said: Result) -> Result:
        if isinstance(said, str):
            return said
        return [safe(name, given) for call in said for name, given in call.items()]

    return [[step(said) for said in turn] for turn in turns]


def _result_line(line: Line) -> dict[str, Any]:
    return {"id": line.entry.id, "result": line.result, **line.tokens}


def _score_lines(lines: Sequence[Line], category: str, player: str) -> Iterator[dict[str, Any]]:
    verdicts = [verdict_of(line) for line in lines]
    right = sum(bool(verdict["valid"]) for verdict in verdicts)
    yield {"accuracy": right / len(lines), "correct_count": right, "total_count": len(lines)}
    for line, verdict in zip(lines, verdicts, strict=True):
        if not verdict["valid"]:
            head = {"id": line.entry.id, "model_name": player, "test_category": category}
            yield {**head, "valid": False, **_told(line, verdict)}


def _told(line: Line, verdict: Verdict) -> dict[str, Any]:
    """What a score file says of a wrong answer, in the order of the package's own fields."""
    row = dict(line.entry.row)
    if line.entry.multi_turn:
        return {
            "error": {key: value for key, value in verdict.items() if key != "valid"},
            "prompt": row,
            "model_result_raw": line.result,
            "possible_answer": line.entry.gold,
        }
    said: Any = decoded(calls_of(line.result))
    error: Mapping[str, Any] = {"error": verdict["error"], "error_type": verdict["error_type"]}
    if line.result and isinstance(line.result, str):
        said, error = None, UNDECODED[line.entry.category == "live_relevance"]
    if "relevance" in line.entry.category:
        return {"prompt": row, "model_result": line.result, "decoded_result": said, **error}
    answers = {"model_result_raw": line.result}
    if said is not None:
        answers["model_result_decoded"] = said
    return {**error, "prompt": row, **answers, "possible_answer": line.entry.gold}


def _write(path: Path, lines: Iterator[Mapping[str, Any]], ascii: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=ascii, default=str) + "\n" for line in lines)
