"""Rewards that read texts: the case's facts become episodes, and the record's shape scores them."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
from bindings.common import advantage
from builders import completion, span, table_of

from agentrl.algorithms.clinical_crpo import CLINICAL_CRPO
from agentrl.algorithms.countdown_compare import COUNTDOWN_COMPARE
from agentrl.algorithms.expert_single_turn import EXPERT_SINGLE_TURN, success_bound
from agentrl.algorithms.format_length import FORMAT_LENGTH
from agentrl.algorithms.grit import GRIT
from agentrl.algorithms.sparql_refine import SPARQL_REFINE
from agentrl.algorithms.tcm_grpo import TCM_GRPO
from agentrl.algorithms.text2vis import TEXT2VIS, closeness
from agentrl.algorithms.ton import TON, drop_thoughts
from agentrl.algorithms.train_long import TRAIN_LONG, decay_factor
from agentrl.answers import budget
from agentrl.types import Episode, Group, Parse, Source, Task, Trajectory, Turn


def said(text="", *, tokens=1, parse=Parse.OK, **fields):
    """A trajectory of one turn that says `text` in `tokens` tokens."""
    spoken = completion(np.zeros(tokens), text=text)
    return Trajectory(turns=(Turn(spans=(span([1]),), completion=spoken, parse=parse),), **fields)


def asked(data, trajectories, step=0):
    """A group whose task holds `data`."""
    task = Task(env="test", data=data)
    episodes = [
        Episode(task=task, attempt=i, trajectories=(t,)) for i, t in enumerate(trajectories)
    ]
    return Group(task=task, episodes=tuple(episodes), step=step)


def scored(record, data, trajectories, step=0, **options):
    """The trajectories as the record's shape leaves them."""
    (group,) = record.shape.but(**options)([asked(data, trajectories, step)])
    return [episode.main for episode in group.episodes]


def rewards(record, data, trajectories, step=0, **options):
    return {"rewards": [t.reward for t in scored(record, data, trajectories, step, **options)]}


def in_tag(name, value):
    return "" if value is None else f"<{name}>{value}</{name}>"


def expert_shape(*, actions, expert, **options):
    texts = [said(in_tag("action", action)) for action in actions]
    return rewards(EXPERT_SINGLE_TURN, {"expert": expert}, texts, **options)


def expert_bound(*, step_probs):
    return {"success": success_bound(step_probs)}


def tcm_shape(*, answers, gold, **options):
    texts = [said(in_tag("answer", answer)) for answer in answers]
    return rewards(TCM_GRPO, {"answer": gold}, texts, **options)


def clinical_shape(*, gold, responses, **options):
    texts = [said(clinical_text(**response)) for response in responses]
    return rewards(CLINICAL_CRPO, {"answer": gold}, texts, **options)


def clinical_text(*, boxes, format, english):
    """A text of these boxes, of that format, of which that share is ASCII."""
    shown = " ".join("\\boxed{" if box is None else f"\\boxed{{{box}}}" for box in boxes)
    more = "so " if format == 1.5 else ""
    thought = "hm" if format >= 1 else ""
    closed = f"</think><answer>{more}{shown}</answer>"
    foreign = round((len(f"<think>{thought}{closed}")) * (1 - english) / english)
    return f"<think>{thought}{'é' * foreign}{closed}"


def countdown_shape(*, expressions, numbers, target, **options):
    texts = [said(in_tag("answer", expression)) for expression in expressions]
    return rewards(COUNTDOWN_COMPARE, {"numbers": numbers, "target": target}, texts, **options)


def countdown_overlong(*, lengths, **options):
    data = {"numbers": [1], "target": 2}
    found = scored(COUNTDOWN_COMPARE, data, [said("", tokens=n) for n in lengths], **options)
    assert all(trajectory.reward == trajectory.parts["overlong"] for trajectory in found)
    return {"penalty": [trajectory.reward for trajectory in found]}


def format_length_shape(*, items, **options):
    assert not any(item["soft"] for item in items)
    texts = ["\\boxed{1}" if item["parses"] else "1" for item in items]
    spoken = [said(text, tokens=i["tokens"]) for text, i in zip(texts, items, strict=True)]
    return rewards(FORMAT_LENGTH, {}, spoken, **options)


def grit_shape(*, texts, **options):
    found = scored(GRIT, {"answer": "1"}, [said(text) for text in texts], **options)
    return {name: [t.parts[name] for t in found] for name in ("answer", "think")}


def sparql_shape(*, gold, answers, executable=None, well_formed=None, **options):
    runs = executable or [False] * len(answers)
    forms = well_formed or [True] * len(answers)
    spoken = [
        said(
            in_tag("answer", answer and ", ".join(answer)),
            parse=Parse.OK if form else Parse.MALFORMED,
            parts={"executed": float(ran)},
        )
        for answer, ran, form in zip(answers, runs, forms, strict=True)
    ]
    return rewards(SPARQL_REFINE, {"answers": gold}, spoken, **options)


def sparql_mask(*, segments):
    """1 at the positions of the one sample that are rows of the token table."""
    turns, spans = [], ()
    for role, length in segments:
        ids = np.zeros(length)
        source = Source.SAMPLED if role == "assistant" else Source.ENV
        if role == "assistant":
            turns.append(Turn(spans=spans, completion=completion(ids)))
        spans = (*spans, span(ids, source))
    table = table_of([asked({}, [Trajectory(turns=tuple(turns))])])
    (sample,) = table.samples
    mask = np.zeros(len(sample.ids), int)
    mask[table.position] = 1
    return {"mask": mask.tolist()}


REPLY = json.dumps({"answer": "1", "code": "draw()\nplt.show()"})


def text2vis_shape(*, items, **options):
    spoken = [said(REPLY, parts={name: float(v) for name, v in item.items()}) for item in items]
    return rewards(TEXT2VIS, {"answer": "1"}, spoken, **options)


def text2vis_numeric(*, gold, value):
    return {"score": closeness(gold, value)}


def ton_format(*, texts, **options):
    found = scored(TON, {"answer": "none of these"}, [said(text) for text in texts], **options)
    assert all(trajectory.reward == trajectory.parts["format"] for trajectory in found)
    return {"rewards": [trajectory.reward for trajectory in found]}


def ton_transform(*, texts, draws, **options):
    given = SimpleNamespace(random=lambda count: np.array(draws[:count]))
    return {"texts": drop_thoughts(texts, given, **options)}


def train_long_schedule(*, steps):
    told = TRAIN_LONG.strategy.settings["schedule"]
    assert TRAIN_LONG.shape.settings["schedule"] == told
    return {"budgets": [budget(step, told) for step in steps]}


def train_long_shape(*, lengths, budget, **options):
    spoken = [said(tokens=length) for length in lengths]
    options = {"schedule": (budget, 0.7, 150), "weights": {"length": 1.0}, **options}
    return rewards(TRAIN_LONG, {}, spoken, **options)


def train_long_decay(*, start, end, counts):
    return {"factors": [decay_factor(start, end, count) for count in counts]}


SHOWN = {"gold": "words", "read": "text"}
"""Echo's answer is all that is said, and its task holds it under `words`."""

LEARN = {
    "clinical_crpo": {"shape": {"gold": "words", "boxed": False, "options": ["red", "green"]}},
    "countdown_compare": {"shape": {"solved": "solved"}},
    "countdown_compare_grpo": {"shape": {"solved": "solved"}},
    "countdown_compare_ppo": {"shape": {"solved": "solved"}},
    "expert_single_turn": {"shape": SHOWN},
    "format_length": {"shape": {"parsed": "solved"}},
    "grit": {"shape": {"judge": "solved", "gold": "words"}},
    "sparql_refine": {"shape": SHOWN},
    "tcm_grpo": {"shape": SHOWN},
    "text2vis": {"shape": {"answer": "solved", "form": "add"}},
    "text2vis_release": {"shape": {"answer": "solved"}},
    "ton": {"shape": SHOWN},
    "train_long": {"strategy": {"name": "independent"}},
}

BINDINGS = {
    ("clinical_crpo", "shape"): clinical_shape,
    ("countdown_compare", "overlong"): countdown_overlong,
    ("countdown_compare", "shape"): countdown_shape,
    ("expert_single_turn", "advantage"): partial(advantage, EXPERT_SINGLE_TURN),
    ("expert_single_turn", "bound"): expert_bound,
    ("expert_single_turn", "shape"): expert_shape,
    ("format_length", "shape"): format_length_shape,
    ("grit", "shape"): grit_shape,
    ("sparql_refine", "mask"): sparql_mask,
    ("sparql_refine", "shape"): sparql_shape,
    ("tcm_grpo", "shape"): tcm_shape,
    ("text2vis", "numeric"): text2vis_numeric,
    ("text2vis", "shape"): text2vis_shape,
    ("ton", "format"): ton_format,
    ("ton", "transform"): ton_transform,
    ("train_long", "decay"): train_long_decay,
    ("train_long", "schedule"): train_long_schedule,
    ("train_long", "shape"): train_long_shape,
}
