"""A run's folder: which run of the journal it is, and what is exported from it."""

import json
from dataclasses import replace

import pytest
import yaml
from arbitrary import same
from builders import mixed_groups
from runs import cli, rows

from agentrl.episodes import episode_record
from agentrl.errors import DataError
from agentrl.journal import Journal
from agentrl.journal.folder import export, opened, reachable, read_groups, start
from agentrl.journal.place import Place

HERE = Place()


def begun(folder, state=None, place=HERE):
    """A started life, its notice, and a step's groups written; the journal is closed again."""
    writer, notice = start(place, folder, {"seed": 1}, state)
    step = 0 if state is None else state["step"]
    groups = [replace(group, step=step) for group in mixed_groups()]
    writer.groups(step, groups)
    writer.journal.close()
    return writer, notice, groups


def saved(folder, writer, step):
    """A checkpoint, as far as the journal is concerned."""
    path = folder / "checkpoints" / f"step-{step:06d}"
    path.mkdir(parents=True)
    state = {"step": step, "journal": {"run": writer.run, "life": writer.life}}
    (path / "state.json").write_text(json.dumps(state))
    return state


def exported(folder):
    """The export of the folder's run, read back."""
    with opened(folder) as (journal, run):
        export(journal, run, folder / "episodes.jsonl")
    return rows(folder / "episodes.jsonl")


def test_a_resumed_run_goes_on_as_its_next_life(tmp_path):
    first, _, _ = begun(tmp_path)
    second, notice, _ = begun(tmp_path, saved(tmp_path, first, 1))
    assert (second.run, second.life, notice) == (first.run, 1, "")
    assert {row["step"] for row in exported(tmp_path)} == {0, 1}
    third, _, _ = begun(tmp_path, {"step": 0, "journal": {"run": first.run, "life": 0}})
    assert third.life == 2
    assert {row["step"] for row in exported(tmp_path)} == {0}


def test_the_export_is_todays_format(tmp_path):
    _, _, groups = begun(tmp_path)
    expected = [episode_record(0, e, n) for n, g in enumerate(groups) for e in g.episodes]
    assert exported(tmp_path) == json.loads(json.dumps(expected))
    assert not list(tmp_path.glob("*.draft"))


def test_an_export_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    begun(tmp_path)
    before = exported(tmp_path)
    monkeypatch.setattr("agentrl.journal.folder.episode_record", lambda *given: {}[0])
    with pytest.raises(KeyError):
        exported(tmp_path)
    assert rows(tmp_path / "episodes.jsonl") == before


def test_a_run_without_its_journal_says_so_and_keeps_what_was_exported(tmp_path):
    first, _, _ = begun(tmp_path)
    state, before = saved(tmp_path, first, 1), exported(tmp_path)
    (tmp_path / "journal.sqlite").unlink()
    second, notice, _ = begun(tmp_path, state)
    assert (second.run != first.run, second.life) == (True, 0)
    assert f"goes on there as the new run {second.run}, from step 1" in notice
    saved(tmp_path, second, 2)
    for _ in range(2):
        after = exported(tmp_path)
        assert after[: len(before)] == before
        assert {row["step"] for row in after[len(before) :]} == {1}


def test_a_run_from_before_the_journal_says_so(tmp_path):
    _, notice, _ = begun(tmp_path, {"step": 4})
    assert "does not hold this run" in notice


def test_groups_are_read_from_the_folders_journal(tmp_path):
    _, _, groups = begun(tmp_path)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert same(read_groups(moved), groups)
    with pytest.raises(DataError, match="has no step 9: it holds 0 to 0"):
        read_groups(moved, 9)


def test_a_shared_journal_is_found_by_the_folders_settings(tmp_path, url):
    place, one, two = Place(url=url), tmp_path / "one", tmp_path / "two"
    reachable(place)
    for folder in (one, two):
        folder.mkdir()
        (folder / "run.yaml").write_text(yaml.safe_dump({"journal": {"url": url}}))
        writer, _, _ = begun(folder, place=place)
        saved(folder, writer, 1)
        with opened(folder) as (_, run):
            assert run == writer.run
    assert not (one / "journal.sqlite").exists()
    assert code_of("journal", one) == code_of("journal", url) == 0


def code_of(*arguments):
    return cli(*arguments)[0]


def test_a_folder_without_a_journal_is_read_from_its_export(tmp_path):
    _, _, groups = begun(tmp_path)
    exported(tmp_path)
    (tmp_path / "journal.sqlite").unlink()
    assert len(read_groups(tmp_path)) == len(groups)


def test_the_journal_is_closed_and_in_one_file(tmp_path):
    begun(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["journal.sqlite"]
    with Journal.open(f"sqlite:///{tmp_path}/journal.sqlite", create=False) as journal:
        assert journal.engine.dialect.name == "sqlite"
