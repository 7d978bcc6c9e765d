"""A seeded synthetic knowledge graph of people, places, organisations and works.

The schema is fixed and every relation is functional (one object per subject), so that a chain of
relations has one answer. The names are drawn, so two seeds share no entity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

PREFIX = "http://agentrl.example/kg/"
PREFIXES = {
    "": PREFIX,
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
}


@dataclass(frozen=True, slots=True)
class Relation:
    """One property of the schema."""

    name: str
    """Local name: the property is `:name`."""
    domain: str
    range: str
    phrases: tuple[str, ...]
    """How questions say it: `the <phrase> of X`."""
    share: float = 1.0
    """Share of subjects that have it."""

    @property
    def names(self) -> tuple[str, str]:
        """Its own name, and the other one under which a graph may keep it."""
        return self.name, OTHER_NAMES[self.name]


SCHEMA = (
    Relation("author", "Work", "Person", ("author", "writer")),
    Relation("publisher", "Work", "Organisation", ("publisher", "publishing house")),
    Relation("setting", "Work", "City", ("setting", "scene")),
    Relation("birthPlace", "Person", "City", ("birthplace", "native city")),
    Relation("employer", "Person", "Organisation", ("employer", "workplace")),
    Relation("spouse", "Person", "Person", ("spouse", "partner"), 0.5),
    Relation("doctoralAdvisor", "Person", "Person", ("doctoral advisor", "supervisor"), 0.5),
    Relation("headquarters", "Organisation", "City", ("headquarters", "head office")),
    Relation("founder", "Organisation", "Person", ("founder", "creator")),
    Relation("mayor", "City", "Person", ("mayor", "head")),
    Relation("country", "City", "Country", ("country", "nation")),
    Relation("capital", "Country", "City", ("capital", "seat of government")),
    Relation("president", "Country", "Person", ("president", "head of state")),
)
OTHER_NAMES = {
    "author": "writtenBy",
    "publisher": "publishedBy",
    "setting": "takesPlaceIn",
    "birthPlace": "bornIn",
    "employer": "worksFor",
    "spouse": "marriedTo",
    "doctoralAdvisor": "advisedBy",
    "headquarters": "basedIn",
    "founder": "foundedBy",
    "mayor": "headedBy",
    "country": "locatedIn",
    "capital": "hasCapital",
    "president": "ledBy",
}
"""The second name of each property, as graphs that grew from several sources have."""
SHARES = {"Person": 0.42, "Work": 0.34, "Organisation": 0.12, "City": 0.09, "Country": 0.03}
"""Share of each class among the entities."""

ONSETS = tuple("b br d dr f g gr h k kl l m n p pr r s st t tr v w z".split())  # noqa: SIM905
VOWELS = tuple("a e i o u ai ei ia".split())  # noqa: SIM905
CODAS = ["", "n", "r", "l", "s", "m", "nd", "rk"]
FORMS = {
    "Person": "{} {}",
    "Work": "The {} {}",
    "Organisation": "{} Institute",
    "City": "{} City",
    "Country": "{} Land",
}


@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """Entities by class and the facts between them; a key, equal to itself only."""

    entities: dict[str, tuple[str, ...]]
    """Class -> local names, such as `Mira_Talven`."""
    facts: dict[str, dict[str, str]]
    """Relation -> subject -> object."""
    renamed: frozenset[tuple[str, str]] = frozenset()
    """The (relation, subject) whose fact is kept under the relation's other name."""

    @property
    def num_triples(self) -> int:
        """Triples of the Turtle text: facts, types and labels."""
        return sum(map(len, self.facts.values())) + 2 * sum(map(len, self.entities.values()))

    def stored(self, relation: str, subject: str) -> str:
        """The name under which the graph keeps a fact."""
        return OTHER_NAMES[relation] if (relation, subject) in self.renamed else relation

    def turtle(self) -> str:
        """The whole graph as Turtle."""
        lines = [f"@prefix {prefix}: <{iri}> ." for prefix, iri in PREFIXES.items()]
        for kind, names in self.entities.items():
            lines += [f':{name} a :{kind} ; rdfs:label "{label(name)}" .' for name in names]
        for relation, pairs in self.facts.items():
            lines += [f":{s} :{self.stored(relation, s)} :{o} ." for s, o in pairs.items()]
        return "\n".join(lines)


def label(name: str) -> str:
    """The human name behind a local name."""
    return name.replace("_", " ")


@lru_cache(maxsize=4)
def knowledge_graph(seed: int, triples: int, renamed: float = 0.0) -> KnowledgeGraph:
    """The graph of a seed, with about `triples` triples (4.75 per entity).

    `renamed` is the share of facts that stand under their property's other name: nothing but a
    query tells which.
    """
    rng = np.random.default_rng(seed)
    count = max(60, round(triples / 4.75))
    taken: set[str] = set()
    entities = {
        kind: tuple(_name(rng, kind, taken) for _ in range(max(4, round(count * share))))
        for kind, share in SHARES.items()
    }
    facts = {relation.name: _pairs(rng, relation, entities) for relation in SCHEMA}
    every = [(name, subject) for name, pairs in facts.items() for subject in pairs]
    other = np.random.default_rng([seed, 1]).random(len(every)) < renamed
    moved = frozenset(fact for fact, is_moved in zip(every, other, strict=True) if is_moved)
    return KnowledgeGraph(entities=entities, facts=facts, renamed=moved)


def _pairs(
    rng: np.random.Generator, relation: Relation, entities: dict[str, tuple[str, ...]]
) -> dict[str, str]:
    subjects = [name for name in entities[relation.domain] if rng.random() < relation.share]
    objects = entities[relation.range]
    pairs = {}
    for subject in subjects:
        object = objects[int(rng.integers(len(objects)))]
        if object != subject:
            pairs[subject] = object
    return pairs


def _name(rng: np.random.Generator, kind: str, taken: set[str]) -> str:
    form = FORMS[kind]
    while True:
        name = form.format(*(_word(rng) for _ in range(form.count("{}")))).replace(" ", "_")
        if name not in taken:
            taken.add(name)
            return name


def _word(rng: np.random.Generator) -> str:
    def draw(choices: Sequence[str]) -> str:  # rng.choice makes an array of them at every call
        return choices[int(rng.integers(len(choices)))]

    syllables = [draw(ONSETS) + draw(VOWELS) for _ in range(int(rng.integers(1, 3)))]
    return ("".join(syllables) + draw(CODAS)).capitalize()
