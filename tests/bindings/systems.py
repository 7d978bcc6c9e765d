"""Systems papers: what the layouts run, on cases worked out by hand."""

from itertools import pairwise

import numpy as np
import torch
from builders import group, table_of, turn, view_of

from agentrl.algorithms.grpo import GRPO
from agentrl.layouts import LAYOUTS, streaming
from agentrl.layouts.attention import visible
from agentrl.layouts.head import Places, Predictions, in_chunks
from agentrl.layouts.paths import Piece, cost, lay, neighbours
from agentrl.types import Trajectory

PLENTY = 10**9


def line_of(layout, sequences):
    """The one line that a layout makes of sorted sequences."""
    common = neighbours(sequences)
    lengths = [len(ids) for ids in sequences]
    (piece,) = LAYOUTS[layout]().cut(lengths, common, PLENTY)
    return lay(sequences, common, piece)


def grouped(prefix, lengths):
    """Sequences of fresh tokens behind one prefix."""
    ends = np.cumsum([prefix, *lengths])
    tails = [np.arange(start, stop) for start, stop in pairwise(ends)]
    return [np.concatenate([np.arange(prefix), tail]) for tail in tails]


def prefix_cost(*, prefix, lengths):
    tokens, pairs = cost(line_of("packed", grouped(prefix, lengths)))
    gains = {"token_gain": tokens[0] / tokens[1], "pair_gain": pairs[0] / pairs[1]}
    return {"tokens": tokens, "pairs": pairs, **gains}


def prefix_layout(*, prefix, lengths):
    """Segments are numbered by whose they are: 0 is everybody's."""
    line = line_of("packed", grouped(prefix, lengths))
    segments = np.zeros(len(line.ids), np.int64)
    for number, path in enumerate(line.paths):
        segments[path[prefix:]] = number + 1
    mask = seen(line)
    return {"segments": segments.tolist(), "positions": line.depth.tolist(), "mask": mask.tolist()}


def seen(line):
    """A line's mask `[T, T]` of zeros and ones."""
    ends = torch.from_numpy(line.ends)[None]
    return visible(ends, 0, len(line.ids))[0, 0].long()


def exactness(*, prefix, suffixes, wq, wk, wv):
    """One attention layer on every sequence alone, and on the line that shares the prefix."""
    sequences = grouped(len(prefix), [len(suffix) for suffix in suffixes])
    line = line_of("packed", sequences)
    states = double([*prefix, *(token for suffix in suffixes for token in suffix)])
    weights = [double(weight) for weight in (wq, wk, wv)]
    together = attend(states[line.ids], weights, seen(line))
    alone = [attend(states[ids], weights, seen(single(ids))) for ids in sequences]
    start = len(prefix)
    return {
        "unshared": [found[start:].tolist() for found in alone],
        "shared": [together[path[start:]].tolist() for path in line.paths],
    }


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def single(ids):
    return lay([ids], [0], Piece(0, 1))


def attend(states, weights, mask):
    query, key, value = (states @ weight for weight in weights)
    attention = torch.nn.functional.scaled_dot_product_attention
    return attention(query[None], key[None], value[None], attn_mask=mask.bool())[0]


def paths_below(parents):
    """Every leaf's path from the root, as node numbers."""
    leaves = [node for node in range(len(parents)) if node not in parents]
    paths = []
    for leaf in leaves:
        path = [leaf]
        while parents[path[0]] is not None:
            path.insert(0, parents[path[0]])
        paths.append(np.array(path))
    return leaves, paths


def tree_cost(*, tokens, parents):
    starts = np.cumsum([0, *tokens])
    node_ids = [np.arange(starts[i], starts[i + 1]) for i in range(len(tokens))]
    _, paths = paths_below(parents)
    sequences = [np.concatenate([node_ids[node] for node in path]) for path in paths]
    flat, packed = cost(line_of("tree", sequences))[0]
    return {"flat": flat, "packed": packed, "gain": flat / packed}


def tree_mask(*, parents):
    line = line_of("tree", paths_below(parents)[1])
    assert line.ids.tolist() == list(range(len(parents))), "nodes are given in depth-first order"
    return {"mask": seen(line).tolist()}


def coefficients(*, leaf_advantages, parents, lengths=None):
    """What each node's log-prob is multiplied with when every branch trains its whole path.

    Every position has two tokens and logits of 0: the gradient of a log-prob is +-1/2 of it.
    """
    leaves, paths = paths_below(parents)
    line = line_of("tree", paths)
    logits = torch.zeros(len(line.ids), 2, requires_grad=True)
    at = torch.from_numpy(np.concatenate(line.paths))
    lines = torch.zeros_like(at)
    rows = Predictions(Places(lines, at, at), logits, None, None).rows(torch.zeros_like(at))
    credit = [
        leaf_advantages[str(leaf)] / (lengths or {}).get(str(leaf), 1)
        for leaf, path in zip(leaves, line.paths, strict=True)
        for _ in path
    ]
    (torch.tensor(credit) * rows.logprobs).sum().backward()
    return {"coefficients": (2 * logits.grad[:, 0]).tolist()}


def tree_loss(*, ratio, advantages):
    """The objective of rows that share one token: as the tree layout has them, and merged."""
    shared = [Trajectory(turns=(turn([1], [2]),)) for _ in advantages]
    table = table_of([group(*shared)])
    (batch,) = LAYOUTS["tree"]().batches(table, PLENTY)
    assert len(set(batch.position.tolist())) == 1, "one token of the line"
    logprobs = torch.full((len(batch.rows),), ratio).log()
    apart = table.with_columns(old=torch.zeros(2), advantage=torch.tensor(advantages))
    merged = apart.with_columns(advantage=torch.tensor([sum(advantages), 0.0]))
    objective = {
        name: -float(GRPO.loss(view_of(of, logprobs)).sum())
        for name, of in (("per_branch", apart), ("merged", merged))
    }
    return objective


def chunked_head(*, hidden, weight, labels, chunk):
    """Cross entropy through the head in chunks, and the weight's gradient."""
    states, matrix = double(hidden), double(weight).requires_grad_()
    places = torch.arange(len(labels))
    logprobs, _ = in_chunks(
        states, lambda part: part @ matrix, places, torch.tensor(labels), chunk=chunk
    )
    losses = [float(-part.detach().sum()) for part in logprobs.split(chunk)]
    (-logprobs.sum()).backward()
    return {"chunk_losses": losses, "loss": sum(losses), "gradient": matrix.grad.tolist()}


def streaming_cost(*, chunks):
    length = 300
    return {"ratio": [streaming.attention_work(length, length // count) for count in chunks]}


BINDINGS = {
    ("prefix_grouper", "cost"): prefix_cost,
    ("prefix_grouper", "exactness"): exactness,
    ("prefix_grouper", "layout"): prefix_layout,
    ("stream_bp", "cost"): streaming_cost,
    ("stream_bp", "learner"): chunked_head,
    ("tree_training", "coefficients"): coefficients,
    ("tree_training", "cost"): tree_cost,
    ("tree_training", "loss"): tree_loss,
    ("tree_training", "mask"): tree_mask,
}
