"""Fetching public question files: from git, from the hub's package, and without a network."""

import json
import os
import subprocess

import pytest
from runs import cli, one_line

RECORD = {"uid": 1, "question": "Where?", "sparql_wikidata": "ASK {}"}


@pytest.fixture
def repository(tmp_path):
    """A git repository as the benchmarks' own: question files, a licence, other things."""
    folder = tmp_path / "repository"
    (folder / "data/qald_10").mkdir(parents=True)
    (folder / "dataset").mkdir()
    (folder / "data/qald_10/qald_10.json").write_text('{"questions": []}')
    (folder / "dataset/train.json").write_text(json.dumps([RECORD]))
    (folder / "LICENSE").write_text("do as you like")
    os.symlink("/etc/hostname", folder / "dataset/linked.json")
    who = ("-c", "user.name=t", "-c", "user.email=t@e.x", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "data")):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    return folder.as_uri()


def fetched(name, out, *more):
    return cli("data", "fetch", name, "--out", out, *more)


def refused(*arguments):
    code, _, message = fetched(*arguments)
    assert code == 2
    return one_line(message)


def test_a_benchmarks_files_and_its_licence_are_fetched(repository, tmp_path):
    code, printed, message = fetched("qald10", tmp_path / "out", "--source", repository)
    assert (code, message) == (0, "")
    assert printed.startswith(f"qald10: from {repository}, licence MIT\ncommit ")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"qald_10.json", "LICENSE"}


def test_links_of_a_repository_lead_nowhere(repository, tmp_path):
    assert fetched("lcquad2", tmp_path / "out", "--source", repository)[0] == 0
    assert json.loads((tmp_path / "out/train.json").read_text()) == [RECORD]
    assert (tmp_path / "out/linked.json").read_text() == "/etc/hostname"


def test_no_network_is_one_line(tmp_path):
    told = refused("qald10", tmp_path / "out", "--source", "http://127.0.0.1:9/nowhere")
    assert "cannot fetch qald10 (fatal: " in told
    assert "it needs a network" in told


def test_another_repository_is_one_line(repository, tmp_path):
    told = refused("qald9plus", tmp_path / "out", "--source", repository)
    assert "holds no data/qald_9_plus_*.json" in told


def test_commands_in_place_of_an_address_are_refused(tmp_path):
    assert "not allowed" in refused("qald10", tmp_path / "a", "--source", "ext::touch /tmp/x")
    assert "cannot fetch" in refused("qald10", tmp_path / "b", "--source", "--upload-pack=touch x")


def test_files_that_are_there_stay(repository, tmp_path):
    (tmp_path / "mine").write_text("precious")
    assert "holds 'mine'" in refused("qald10", tmp_path, "--source", repository)


def test_unknown_names_are_refused(tmp_path):
    assert "did you mean 'qald10'" in refused("qald_10", tmp_path / "out")
    assert "unknown --via 'ftp'" in refused("qald10", tmp_path / "out", "--via", "ftp")
    assert "is not on the hub" in refused("qald10", tmp_path / "out", "--via", "datasets")


def test_a_missing_package_is_one_line(tmp_path):
    try:
        import datasets  # noqa: F401
    except ImportError:
        told = refused("lcquad2", tmp_path / "out", "--via", "datasets")
        assert 'pip install "agentrl[data]"' in told
    else:
        pytest.skip("NOT CHECKED HERE: the package datasets is installed")


def test_the_package_datasets_brings_every_split(tmp_path):
    pytest.importorskip("datasets", reason="NOT CHECKED HERE: the package datasets is missing")
    hub = tmp_path / "hub"
    hub.mkdir()
    for split in ("train", "test"):
        (hub / f"{split}.json").write_text(json.dumps([RECORD]))
    out = tmp_path / "out"
    assert fetched("lcquad2", out, "--via", "datasets", "--source", hub)[0] == 0
    assert json.loads((out / "train.json").read_text()) == [RECORD]
