"""The tests' own test: plant one fault at one hop of the line, and a named check must fail.

Every check is a test from another module that passes on the library as it is. A fault that no check
notices would mean that the hop could break without anybody knowing.
"""

import inspect
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import test_golden
import test_gradients
import test_learner
import test_reference
import test_segments
import test_table
import torch
from accelerate.optimizer import AcceleratedOptimizer
from builders import completion, span

from agentrl import advantages, learner, losses, penalties, table, weightings
from agentrl.backends.hf import HFPolicy
from agentrl.chat import TemplateChat
from agentrl.layouts import padded
from agentrl.table import Table, View
from agentrl.types import Group, Source, join


def wrap(owner, name, change):
    """A fault: `change(real, *arguments)` runs in place of `owner.name`."""

    def plant(patch):
        real = getattr(owner, name)
        patch.setattr(owner, name, lambda *args, **kwargs: change(real, *args, **kwargs))

    return plant


def swap(owner, name, value):
    """A fault: `value` stands in place of `owner.name`."""
    return lambda patch: patch.setattr(owner, name, value)


# Table


def shifted(by):
    def merge(real, trajectory):
        samples, places = real(trajectory)
        return samples, [(sample, start + by) for sample, start in places]

    return wrap(table, "merge", merge)


def rewritten_turns(change):
    """Every turn goes through `change` on its way into the table."""

    def build(real, groups):
        return real([of_group(group) for group in groups])

    def of_group(group):
        return replace(group, episodes=tuple(of_episode(e) for e in group.episodes))

    def of_episode(episode):
        trajectories = [replace(t, turns=tuple(map(change, t.turns))) for t in episode.trajectories]
        return replace(episode, trajectories=tuple(trajectories))

    return wrap(table, "build_table", build)


def all_sampled(turn):
    """The turn as if everything after the first token had been sampled."""
    context, said = join(turn.spans), turn.completion
    logprobs = np.concatenate([np.zeros(len(context) - 1), said.logprobs])
    everything = completion(np.concatenate([context[1:], said.ids]), logprobs)
    return replace(turn, spans=(span(context[:1]),), completion=everything)


def repeated_sampled(turn):
    """The turn as if it had sampled again what its context holds since the first sampled span."""
    first = [s.source for s in turn.spans].index(Source.SAMPLED) if len(turn.spans) > 1 else 1
    again, said = join(turn.spans[first:]), turn.completion
    logprobs = np.concatenate([np.zeros(len(again)), said.logprobs])
    repeated = completion(np.concatenate([again, said.ids]), logprobs)
    return replace(turn, spans=turn.spans[:first], completion=repeated)


def never_fork(real, trajectory):
    whole = join(trajectory.turns[-1].context) if trajectory.turns else []
    samples, places = real(trajectory)
    merged = np.concatenate([whole, trajectory.turns[-1].completion.ids]) if len(whole) else whole
    return [table.Sample(merged, samples[-1].observed)] * len(samples), places


def rolled(column):
    """The table with one column off by a row."""

    def build(real, groups):
        built = real(groups)
        return built.with_columns(**{column: built.columns[column].roll(1)})

    return wrap(table, "build_table", build)


def without_silent(real, groups):
    spoken = [tuple(e for e in group.episodes if e.main.num_tokens) for group in groups]
    return real([replace(g, episodes=of) for g, of in zip(groups, spoken, strict=True)])


def misaligned(real, self, keep):
    chosen = real(self, keep)
    return chosen.with_columns(advantage=self.advantage[: len(chosen)])


# Engine and ledger


async def _altered(change, real, *arguments):
    return change(await real(*arguments))


def engine(change):
    """Every completion that the engine returns goes through `change`."""
    return wrap(HFPolicy, "complete", lambda real, *args: _altered(change, real, *args))


def with_padding(said):
    ids, logprobs = np.append(said.ids, [0, 0]), np.append(said.logprobs, [0.0, 0.0])
    return replace(said, ids=ids, logprobs=logprobs.astype(np.float32))


def log_probs_late(said):
    return replace(said, logprobs=np.roll(said.logprobs, 1))


def retokenised(real, self, dialogue, said, messages):
    return real(self, dialogue, replace(said, ids=self.encode(said.text)), messages)


def cache_kept(real, self, weights=None):
    self.model.load_state_dict(weights)
    return self.version + 1


# Learner and layout


def old_is_behaviour(real, self, batch):
    return real(self, batch).with_columns(old=batch.behaviour)


def ratio_to_behaviour(real, self, name):
    return real(self, "behaviour" if name == "old" else name)


def weighed_per_batch(real, self, batch_table, batch):
    weight = batch_table.weight / batch_table.weight[batch.rows].sum()
    return real(self, batch_table.with_columns(weight=weight), batch)


def last_batch_lost(real, *arguments):
    return list(real(*arguments))[:-1]


def sees_itself(real, model, batch, **options):
    return real(model, replace(batch, position=batch.position + 1), **options)


def masked_by_id(real, *arguments):
    batch = real(*arguments)
    return replace(batch, attention_mask=(batch.input_ids != 0).long())


def untempered(real, layout, model, batch, *, temperature, **options):
    return real(layout, model, batch, **options)


def optimistic(view, ratio, clip_low, clip_high):
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)
    return -torch.maximum(ratio * view.advantage, bounded * view.advantage)


def negative(real, *arguments, **options):
    return -real(*arguments, **options)


def golden(name, piece):
    return partial(test_golden.check, name, piece)


ROWS = test_table.test_rows_are_exactly_the_sampled_tokens
ENGINE = test_learner.test_the_engine_reports_the_learners_log_probs
OLD = test_learner.test_old_is_the_learners_own_log_prob
SPLIT = partial(test_gradients.test_no_split_changes_the_gradient, name="grpo")
ID_ZERO = partial(test_gradients.test_every_token_id_learns, token=0)
FAULTS = {
    "rows one position early": (shifted(-1), ROWS),
    "rows one position late": (
        shifted(1),
        test_table.test_a_row_is_predicted_by_the_context_it_was_sampled_under,
    ),
    "observations are rows": (rewritten_turns(all_sampled), ROWS),
    "observations have gradient": (
        rewritten_turns(all_sampled),
        test_gradients.test_what_follows_the_last_sampled_token_does_not_matter,
    ),
    "tokens that a fork repeats are rows": (
        rewritten_turns(repeated_sampled),
        test_table.test_sampled_tokens_that_a_fork_repeats_have_one_row,
    ),
    "a rewritten history is forgotten": (
        wrap(table, "merge", never_fork),
        test_table.test_a_rewritten_context_forks_the_sample,
    ),
    "behaviour off by one row": (rolled("behaviour"), ROWS),
    "turns off by one row": (rolled("turn"), test_table.test_every_row_knows_its_turn),
    "empty attempts uncounted": (
        wrap(table, "build_table", without_silent),
        golden("grpo", "weighting"),
    ),
    "failed attempts kept": (
        swap(Group, "live", property(lambda group: group.episodes)),
        test_table.test_failed_attempts_are_left_out,
    ),
    "advantages left behind by a selection": (
        wrap(Table, "select_groups", misaligned),
        test_segments.test_added_columns_follow_their_rows,
    ),
    "the engine returns padding": (engine(with_padding), ENGINE),
    "the engine's log-probs off by one": (engine(log_probs_late), ENGINE),
    "the ledger is re-tokenised text": (
        wrap(TemplateChat, "follow", retokenised),
        test_learner.test_a_played_conversation_is_one_sample_of_sampled_ids,
    ),
    "a stale key-value cache": (
        wrap(HFPolicy, "load", cache_kept),
        test_learner.test_new_weights_forget_what_old_ones_cached,
    ),
    "a token predicts itself": (wrap(padded, "predictions", sees_itself), OLD),
    "padding is recognised by its id": (wrap(padded, "_pad", masked_by_id), ID_ZERO),
    "the learner forgets the temperature": (wrap(padded.Padded, "forward", untempered), ENGINE),
    "old is behaviour": (wrap(learner.Learner, "annotate", old_is_behaviour), OLD),
    "the ratio is to behaviour": (
        wrap(View, "__getattr__", ratio_to_behaviour),
        test_gradients.test_behaviour_never_enters_the_gradient,
    ),
    "weights made per micro-batch": (wrap(learner.Learner, "_loss", weighed_per_batch), SPLIT),
    "a micro-batch is lost": (wrap(padded.Padded, "batches", last_batch_lost), SPLIT),
    "gradients add up over steps": (
        swap(AcceleratedOptimizer, "zero_grad", lambda self, set_to_none=None: None),
        test_learner.test_gradients_do_not_add_up_over_steps,
    ),
    "the reference is the live model": (
        wrap(learner, "reference_model", lambda real, model: model),
        test_reference.test_steps_leave_the_reference_alone,
    ),
    "adapters stay on for the reference": (
        swap(learner, "adapter_off", nullcontext),
        test_reference.test_a_lora_models_reference_is_its_base,
    ),
    "advantages have the wrong sign": (
        wrap(advantages, "group_normalize", negative),
        golden("grpo", "advantage"),
    ),
    "the loss has the wrong sign": (
        wrap(losses, "pessimistic", negative),
        test_gradients.test_a_step_makes_rewarded_tokens_likelier,
    ),
    "the optimistic side is clipped": (
        swap(losses, "pessimistic", optimistic),
        golden("grpo", "loss"),
    ),
    "weights are not normalised": (
        swap(weightings, "per_trajectory", lambda of, values: torch.ones(len(of))),
        golden("grpo", "weighting"),
    ),
    "k3 is k1": (
        lambda patch: patch.setitem(penalties.ESTIMATORS, "k3", penalties.k1),
        golden("grpo", "penalty"),
    ),
}


def run_check(check, request):
    """Call a test with the fixtures it asks for."""
    bound = getattr(check, "keywords", {})
    wanted = [name for name in inspect.signature(check).parameters if name not in bound]
    check(**{name: request.getfixturevalue(name) for name in wanted})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault, request, monkeypatch):
    plant, check = FAULTS[fault]
    run_check(check, request)
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        run_check(check, request)
