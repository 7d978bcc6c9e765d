"""Literal formulas of rewards that read what an attempt wrote."""

import math

from references.reading import (
    accepted,
    between,
    bleu_1,
    boxed,
    evidence,
    given,
    hits,
    loaded,
    names,
    repetition,
    think_tags,
    thinks_then_answers,
)
from references.rewards import each, length, overlong, summed


def answer_match(step, gold, read, ignore_case):
    def reward(attempt, group):
        said, golds = given(attempt, read), accepted(group, gold)
        if ignore_case:
            said, golds = (said or "").upper(), [text.upper() for text in golds]
        return float(said in golds)

    return each(step, reward)


def cost_matrix(step, matrix, truth, read, otherwise):
    def reward(attempt, group):
        true = group.data[truth]
        true = " ".join(true) if isinstance(true, list) else str(true)
        return matrix.get(true, {}).get(given(attempt, read), otherwise)

    return each(step, reward)


def clinical(step, weights, gold, options, boxed):
    def reward(attempt, group):
        text = attempt.text.replace("<\\think>", "</think>")
        ascii_letters = sum(ord(letter) < 128 for letter in text)
        scores = {
            "accuracy": letter_score(text, accepted(group, gold), options, boxed),
            "format": think_answer_score(text),
            "english": ascii_letters / len(text) if text else 0.0,
        }
        return summed({**attempt.parts, **scores}, weights)

    return each(step, reward)


def letter_score(text, golds, options, read_boxes):
    found = boxed(text) if read_boxes else [text]
    if len(found) != 1:
        return -len(found)
    if found[0] is None:
        return -1.0
    letter = found[0].strip()
    if letter in golds:
        return 1.0
    return 0.0 if letter in options else -0.5


def think_answer_score(text):
    if not thinks_then_answers(text):
        return 0.0
    answer = between(text, "<answer>", "</answer>")[-1].strip()
    found = [box for box in boxed(answer) if box is not None]
    alone = found and answer == "\\boxed{" + found[0] + "}"
    return 1.5 if len(found) == 1 and not alone else 1.0


def countdown(step, numbers, target, read, solved, max_length, cache):
    def reward(attempt, group):
        if solved:
            return attempt.parts.get(solved, 0.0) + late(attempt)
        written = given(attempt, read) or ""
        return hits(written, group.data[numbers], group.data[target]) + late(attempt)

    def late(attempt):
        return overlong(length(attempt), max_length, cache) if max_length is not None else 0.0

    return each(step, reward)


def format_and_length(step, read, parsed, tags, length, max_length, turning_point):
    def reward(attempt, group):
        found = attempt.parts.get(parsed, 0.0) > 0 if parsed else given(attempt, read) is not None
        soft = sum(attempt.text.count(tag) == 1 for tag in tags) / len(tags) if tags else 0.0
        if length == "off":
            return 0.5 * (soft + found)
        size = len(attempt.turns) if length == "turns" else len(attempt.tokens)
        x, p = size / max_length, turning_point
        y = 1 - (1 - x / p) ** 2 if x <= p else 1 - 2 * ((x - p) / (1 - p)) ** 2
        return 0.5 * (soft + 1) + y if found else min(0.0, y)

    return each(step, reward)


def grounded(step, judge, gold, lines, count):
    def reward(attempt, group):
        text, golds = attempt.text, accepted(group, gold)
        tags = text.count("<answer>")
        total = attempt.parts.get(judge, 0.0)
        total += 0.1 * bleu_1((given(attempt, "answer") or "").split(), golds)
        total += 0.0 if tags == 0 else 0.5 if tags == 1 else 0.25
        total += think_tags(text) + evidence(text, group.data[lines], group.data[count])
        return total + repetition(text.split())

    return each(step, reward)


def neat_end(step, stop, trailing):
    def reward(attempt, group):
        if not attempt.turns:
            return attempt.reward
        blanks = 0
        while attempt.text[len(attempt.text) - blanks - 1 : len(attempt.text) - blanks].isspace():
            blanks += 1
        return attempt.reward + stop * attempt.turns[-1].stopped - trailing * blanks

    return each(step, reward)


def result_set(step, gold, read, executed, executable_weight, format_weight):
    def reward(attempt, group):
        found = names(given(attempt, read) or "")
        wanted = {name for text in accepted(group, gold) for name in names(text)}
        right = bool(found) and found == wanted
        ran = attempt.parts.get(executed, 0.0) > 0
        formed = bool(attempt.turns) and all(said.parsed for said in attempt.turns)
        return right + executable_weight * ran + format_weight * formed

    return each(step, reward)


def story_reward(step, weights, ending):
    def reward(attempt, group):
        words = len([word for word in attempt.text.split() if any(map(str.isalnum, word))])
        written = {"completeness": completeness(words, attempt.text.rstrip().endswith(ending))}
        return summed({**written, **attempt.parts}, weights)

    return each(step, reward)


def completeness(w, ended):
    if not ended or w < 500:
        return 0.0
    if w < 1200:
        return w / 1200
    return 1.0 if w <= 1600 else max(0.0, 1 - math.sqrt((w - 1600) / 1500))


def outcome_and_format(step, gold, read, format_weight):
    return each(
        step,
        lambda a, g: (
            float(given(a, read) in accepted(g, gold)) + format_weight * thinks_then_answers(a.text)
        ),
    )


def within_budget(step, weights, schedule, form):
    start, factor, every = schedule

    def reward(attempt, group):
        most, size = max(1.0, start * factor ** (group.number // every)), length(attempt)
        if size <= most:
            height = size / most if form == "triangle" else 1.0
        else:
            height = max(0.0, 2 - size / most)
        tags = {t: bool(between(attempt.text, f"<{t}>", f"</{t}>")) for t in ("think", "answer")}
        return summed({"right": attempt.success, "length": height, **tags}, weights)

    return each(step, reward)


def executed_answer(step, answer, gold, ending, form):
    def reward(attempt, group):
        told = attempt.parts.get
        reply = loaded(attempt.text)
        s = told(answer) if answer in attempt.parts else closeness(group.data[gold], reply)
        runs = told("executes", 0.0)
        total = 0.5 * (0.6 * s + 0.4 * (s >= 0.999))
        total += 0.25 * (0.5 * runs + 0.5 * told("intent", 0.0))
        total += 0.25 * runs * visual(told("readable", 0.0), told("correct", 0.0))
        formed = formed_reply(reply, ending)
        return total * formed if form == "gate" else total + formed

    return each(step, reward)


def formed_reply(reply, ending):
    texts = [reply.get(name) for name in ("answer", "code")]
    return all(isinstance(text, str) for text in texts) and texts[1].strip().endswith(ending)


def closeness(gold, reply):
    """1 - min(1, relative error), absolute where gold is 0; 0 where either is no number."""
    try:
        gold, x = float(gold), float(reply["answer"])
    except (KeyError, TypeError, ValueError):
        return 0.0
    return 1 - min(1.0, abs(gold - x) / (abs(gold) if gold else 1.0))


def visual(readable, correct):
    if readable >= 4 and correct >= 4:
        return 1.0
    if readable >= 3 and correct >= 3:
        return 0.5
    return 0.25 if readable >= 3 or correct >= 3 else 0.0


SHAPES = {
    f.__name__: f
    for f in (
        *(answer_match, cost_matrix, clinical, countdown, format_and_length, grounded),
        *(neat_end, result_set, story_reward, outcome_and_format, within_budget),
        executed_answer,
    )
}
MATRIX = {"event": {"event": 1.0, "calm": -1.0}, "calm": {"event": -0.5, "calm": 0.5}}
PARTS = {"accuracy": 10.0, "format": 1.0, "english": 0.5}
ALSO = {
    "answer_match": (
        {"read": "answer"},
        {"read": "boxed", "gold": "answer", "ignore_case": True},
        {"read": "canonical"},
    ),
    "cost_matrix": ({"matrix": MATRIX, "truth": "label", "otherwise": -0.1},),
    "clinical": (
        {"weights": PARTS, "gold": "answer", "options": ("A", "B"), "boxed": True},
        {"weights": {**PARTS, "judge": 0.3}, "gold": "words"},
    ),
    "countdown": ({"solved": ""}, {"solved": "", "max_length": 6, "cache": 4}),
    "format_and_length": (
        {"parsed": "", "tags": ("<think>", "</think>", "<answer>"), "max_length": 8},
        {"parsed": "", "read": "answer", "length": "turns", "max_length": 3},
        {"length": "off", "tags": ("<think>",)},
        {"max_length": 6, "turning_point": 0.25},
    ),
    "grounded": ({"judge": "judge", "gold": "answer"},),
    "neat_end": ({"stop": 0.5, "trailing": 0.25},),
    "result_set": ({"read": "answer", "executable_weight": 0.5, "format_weight": 0.2},),
    "story_reward": ({"weights": {"style": 0.6, "completeness": 0.5, "order": 0.3}},),
    "outcome_and_format": ({"read": "answer", "format_weight": 0.4},),
    "within_budget": (
        {"schedule": (6, 0.7, 150)},
        {"schedule": (4, 0.5, 100), "form": "band", "weights": {"length": 1.0, "right": 0.5}},
    ),
    "executed_answer": ({"answer": "match"}, {"answer": "match", "form": "gate"}, {"form": "gate"}),
}
