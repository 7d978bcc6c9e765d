"""`agentrl/Research-v0`: questions of several hops, to be taken apart for agents that query.

    user       What is the mayor of the birthplace of the author of :X?
    assistant  <delegate>the author of :X</delegate>
    user       :Y                                          the report of a sub-agent
    assistant  <delegate>the birthplace of :Y</delegate>
    ...
    assistant  <answer>:Z</answer>

A sub-agent hears its order and answers it with queries and `<answer>...</answer>` (`errands.py`).
The agent `delegate` brings the two together; the agent `chat` plays the same questions alone, with
`direct: true`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from agentrl.calls.base import THOUGHT, thinking
from agentrl.env import Reply
from agentrl.envs.research.errands import Errand, asking, form, read_order, spoken
from agentrl.envs.sparql.env import FOUND, OVER, Sparql, chain_query, compact
from agentrl.envs.sparql.graph import KnowledgeGraph
from agentrl.envs.sparql.graph_env import THINK_FIRST
from agentrl.errors import ConfigError, EnvError, suggestion
from agentrl.parsing import tagged
from agentrl.types import Parse

INSTRUCTIONS = (
    "Answer the question about a knowledge graph whose names begin with a colon. You cannot query "
    "it yourself. When you know the answer, finish with <answer>:Name</answer>."
)
PLAY = {"linking": "given", "one_query": False}
"""What the orders of a main agent take for granted."""


class Research(Sparql):
    """Chains as `agentrl/Sparql-v0` has them, for a main agent that sends others.

    Parts of the main agent: `solved` (the answer is right) and `format` (1 if every turn that was
    no order was well formed, else 0), and where it queries itself those of `agentrl/Sparql-v0`.
    Parts of a sub-agent: `format` (every turn well formed), `executed` (per query that found
    rows), `repeated`, and `expert`, 1 if its report is right, else 0. That stands for the judge of
    arXiv 2511.13288: a rule that reads the order as `the <property> of :X` or a chain of them; for
    an order that it cannot read, or that has no answer in the graph, no report is right.

    Args:
        hops: lengths of the chains.
        direct: whether the main agent may query too: a single agent must.
        plan_slip: probability that the expert takes a question's properties in a wrong order, or
            answers too early.
        expert_slip: probability that a query of the expert asks for another property, is malformed
            or turned round.
        expert_retry: probability that the expert tries again after an error or an empty result,
            its own or a sub-agent's.
        play: as `agentrl/Sparql-v0` has it.
    """

    def __init__(
        self,
        *,
        hops: Sequence[int] = (3,),
        direct: bool = False,
        plan_slip: float = 0.0,
        expert_slip: float = 0.0,
        expert_retry: float = 0.25,
        **play: Any,
    ) -> None:
        for name, value in PLAY.items():
            if play.get(name, value) != value:
                raise ConfigError(f"env.{name} is {play[name]!r}: research needs {value!r}", name)
        if not 0 <= plan_slip <= 1:
            raise ConfigError(f"env.plan_slip is {plan_slip}: give a share from 0 to 1")
        self.direct, self.plan_slip = direct, plan_slip
        shared = {**play, "expert_slip": expert_slip, "expert_retry": expert_retry}
        super().__init__(hops=hops, **shared)
        self.sent = {name: value for name, value in shared.items() if name != "render_mode"}
        """The arguments of an errand."""
        self.formed: float | None = None
        """Whether all turns so far were well formed, 0 or 1; None before the first."""
        self.errands: list[tuple[Errand, str | None]] = []
        """Of the episode, with their reports; the ids are `1`, `2` and so on."""
        self.found: list[str] = []
        """What the main agent's own queries found."""
        self.speaker: str | None = None
        """Whom the script speaks for; None until a delegating agent says so."""

    def instructions(self) -> str:
        """What the main agent is told; of its agents, it is told by the agent `delegate`."""
        if self.direct:
            return super().instructions()
        return INSTRUCTIONS + THINK_FIRST * self.reasoning

    @classmethod
    def variants(cls) -> Mapping[str, Mapping[str, Any]]:
        """Alone, alone with slips and thoughts, and as the main agent of nobody."""
        small = {"triples": 1000}
        slips = {"plan_slip": 0.3, "expert_slip": 0.3, "renamed": 0.4, "reasoning": True}
        return {
            "": {**small, "direct": True},
            "slips": {**small, "direct": True, **slips},
            "main": {**small, "hops": [2]},
        }

    @classmethod
    def baselines(cls) -> Mapping[str, Mapping[str, Any]]:
        """As configured; other ways to play it are other agents."""
        return {"as configured": {}}

    # ---- the main agent ----

    def begin(self, data: Mapping[str, Any]) -> str:
        """The question."""
        self.errands, self.found = [], []
        self.speaker = self.formed = None
        return super().begin(data)

    def act(self, text: str) -> Reply:
        """Take a turn of the main agent that is no order."""
        reply = super().act(text) if self.direct else self.concluded(text)
        if self.result is not None and self.result.rows and reply.parts.get("executed"):
            self.found.append(compact(self.result.rows[0][-1]).removeprefix(":"))
        parts = form(reply, self.formed)
        self.formed = (self.formed or 0.0) + parts["format"]
        return replace(reply, parts={**reply.parts, **parts})

    def concluded(self, text: str) -> Reply:
        """Take the answer, which is all that a main agent does itself."""
        if self.reasoning and not (thinking(text)[2] and THOUGHT in text):
            return self.refused("the turn does not begin with <think>...</think>")
        parsed = tagged(spoken(text), "delegate", "answer")
        if parsed.name == "delegate" and parsed.status is Parse.OK:
            return self.refused("there is nobody to send")
        if parsed.status is not Parse.OK:
            return self.refused(parsed.reason, parsed.status)
        return self.answer(parsed.value)

    # ---- sub-agents: protocols.Workplace ----

    def assign(self, kind: str, order: str) -> tuple[str, str, Mapping[str, Any]]:
        """Begin an errand; agents of all kinds have the same tools."""
        errand = Errand(hops=(1,), **self.sent)
        text, info = errand.reset(seed=0, options={"task": read_order(self.graph, order)})
        self.errands.append((errand, None))
        return str(len(self.errands)), text, info

    def work(self, assignment: str, text: str) -> Reply:
        """Take a sub-agent's text. Raises: EnvError."""
        errand = self._errand(assignment)
        reply = errand.serve(text)
        if reply.done:
            self.errands[int(assignment) - 1] = (errand, reply.text)
        return reply

    def cue(self, assignment: str) -> None:
        """Let the script speak for a sub-agent, or for the main agent that sends them."""
        self.speaker = assignment

    def _errand(self, assignment: str) -> Errand:
        known = [str(number) for number in range(1, len(self.errands) + 1)]
        if assignment not in known:
            raise EnvError(f"no assignment {assignment!r:.40}: {suggestion(assignment, known)}")
        return self.errands[int(assignment) - 1][0]

    # ---- scripts ----

    def oracle(self) -> str:
        """What is known is never asked again; a sub-agent's script, while it is cued."""
        if self.speaker:
            return self._errand(self.speaker).oracle()
        if self.speaker is None and self.direct:
            return super().oracle()
        hops = self.data["relations"]
        nodes = path(self.graph, self.data)
        known = max(i for i, name in enumerate(nodes) if name in {nodes[0], *self.progress()[0]})
        if known == len(hops) or self.speaker is None:
            return self.turn_text("answer", self.gold_text(), "That is it.")
        return self.turn_text(
            "delegate", hop_order(self.data, known, nodes[known]), f":{nodes[known]}"
        )

    def expert(self, rng: np.random.Generator) -> str:
        """One property after the other, now and then the wrong one, or an answer too early."""
        if self.speaker:
            return self._errand(self.speaker).expert(rng)
        found, failed = self.progress()
        hops, node = self.data["relations"], (found or [self.data["entity"]])[-1]
        alone = self.speaker is None
        gives_up = failed and rng.random() >= self.expert_retry
        slips = bool(rng.random() < self.plan_slip)
        early = slips and bool(found) and rng.random() < 0.5
        if gives_up or early or len(found) >= len(hops) or (alone and not self.direct):
            return self.turn_text("answer", f" :{node}", OVER if failed else FOUND)
        hop = len(found)
        if slips and len(hops) > 1:
            hop = int(rng.choice([other for other in range(len(hops)) if other != hop]))
        if alone:
            return self.turn_text("query", asking(self, node, [hops[hop]], rng), f":{node}")
        return self.turn_text("delegate", hop_order(self.data, hop, node), f":{node}")

    def progress(self) -> tuple[list[str], bool]:
        """The names that the main agent's steps brought, and whether the last one brought none.

        A sub-agent that was sent for something of X and reports X has given up.
        """
        if self.speaker is None:
            return self.found, self.result is not None and not self.result.rows
        names = [
            report.removeprefix(":")
            if report and report.removeprefix(":") not in ("", errand.data["entity"])
            else ""
            for errand, report in self.errands
        ]
        return [name for name in names if name], bool(names) and not names[-1]

    def corpus(self) -> Iterator[str]:
        """What `agentrl/Sparql-v0` lists, and orders and queries of one hop."""
        yield from super().corpus()
        for task in self.tasks("train", 300, 0):
            nodes = path(self.graph, task.data)
            for hop, relation in enumerate(task.data["relations"]):
                yield self.turn_text("delegate", hop_order(task.data, hop, nodes[hop]), "")
                yield self.turn_text("query", chain_query(nodes[hop], [relation]), "")


def path(graph: KnowledgeGraph, data: Mapping[str, Any]) -> list[str]:
    """The entities of a chain, from the question's to the answer."""
    nodes = [str(data["entity"])]
    for relation in data["relations"]:
        nodes.append(graph.facts[relation][nodes[-1]])
    return nodes


def hop_order(data: Mapping[str, Any], hop: int, node: str) -> str:
    """The order for one hop of a chain from a node, in the question's words."""
    asked = str(data["question"]).removeprefix("What is the ").partition(" of :")[0]
    phrases = asked.split(" of the ")
    return f"the {phrases[len(phrases) - 1 - hop]} of :{node}"
