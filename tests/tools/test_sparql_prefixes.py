"""Short names for IRIs and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.errors import ConfigError
from agentrl.tools.sparql import DBPEDIA, WIKIDATA, expand, prefix_table, shorten

XSD = "http://www.w3.org/2001/XMLSchema#"
OWN = {"": "http://x/", "deep": "http://x/deep/", "xsd": XSD, "none": ""}


@pytest.mark.parametrize(
    ("term", "name"),
    [
        ("<http://x/a>", ":a"),
        ("<http://x/deep/a.b-c:d>", "deep:a.b-c:d"),
        ("<http://x/>", ":"),
        ("<http://x/Zürich_2>", ":Zürich_2"),
        ('"5"^^<http://www.w3.org/2001/XMLSchema#integer>', '"5"^^xsd:integer'),
    ],
)
def test_names_are_short_and_mean_the_same(term, name):
    assert shorten(term, OWN) == name
    assert expand(name, OWN) == term


@pytest.mark.parametrize(
    "term",
    [
        "<http://y/a>",
        "<http://x/a(b)>",
        "<http://x/a/b>",
        "<http://x/a.>",
        "<http://x/a#b>",
        '"<http://x/a>"',
        '"a^^<http://x/a>"@en',
        '"http://x/a"',
        '"5"^^<http://y/int>',
        "_:b0",
        "",
        "<http://x/long ...",
    ],
)
def test_what_has_no_short_name_stays_as_it_is(term):
    assert shorten(term, OWN) == expand(term, OWN) == term


@pytest.mark.parametrize("name", ["wd:Q1", "no prefix", '":a"', "x", '"a"^^wd:x', "a:b c"])
def test_unknown_names_stay_as_they_are(name):
    assert expand(name, OWN) == name


@given(st.sampled_from(["http://x/", "http://x/deep/", "http://y/"]), st.text())
def test_shortening_loses_nothing(space, local):
    term = f"<{space}{local}>"
    assert expand(shorten(term, OWN), OWN) == term


def test_tables_are_known_by_their_names():
    assert prefix_table("wikidata") == WIKIDATA
    assert prefix_table({"a": "b"}) == {"a": "b"}
    assert shorten("<http://www.wikidata.org/prop/direct/P31>", WIKIDATA) == "wdt:P31"
    assert shorten("<http://dbpedia.org/resource/Category:Towns>", DBPEDIA) == "dbc:Towns"
    with pytest.raises(ConfigError, match="unknown prefixes 'wikdata': did you mean 'wikidata'"):
        prefix_table("wikdata")
