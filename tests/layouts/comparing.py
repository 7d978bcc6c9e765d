"""What layouts are compared by: all that a model says of a table's rows, and gradients of it."""

import torch
from builders import draw, group, table_of, turn
from hypothesis import strategies as st

from agentrl.layouts import LAYOUTS
from agentrl.types import Trajectory

BUDGETS = [1, 12, 30, 10_000]
"""From one sample a line to whole groups."""
NAMES = ("packed", "tree")

ATTEMPTS = st.lists(
    st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=8), st.integers(1, 8)),
    min_size=1,
    max_size=7,
)
TREES = st.lists(ATTEMPTS, min_size=1, max_size=3)
"""Groups of attempts `(ids, context tokens)`; of two token kinds, so that most share prefixes."""


def tree_table(trees):
    """A table of one-turn attempts; one whose context is all of it says nothing."""
    groups = [
        group(*(attempt(ids, opening) for ids, opening in attempts), number=number)
        for number, attempts in enumerate(trees)
    ]
    return table_of(groups)


def attempt(ids, opening):
    return Trajectory(turns=(turn(ids[:opening], ids[opening:]),))


def branches(rng, *, prompt=4, shared=3, tails=(2, 1, 3)):
    """A group that forks after shared sampled tokens: each attempt trains those of its own."""
    stem, said = draw(rng, prompt).tolist(), draw(rng, shared).tolist()
    attempts = [(stem + said + draw(rng, tail).tolist(), prompt) for tail in tails]
    return [[*attempts, attempts[0], (stem + draw(rng, 2).tolist(), prompt)]]


def small(config, **options):
    """A configuration of two layers with grouped queries."""
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return config(vocab_size=300, pad_token_id=None, **shape, **heads, **options)


def value_head(model, seed=0):
    """A head that says something."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Linear(model.config.hidden_size, 1).to(model.lm_head.weight.dtype)


def in_double(model):
    """The model in float64 throughout: its own norms compute in float32 whatever they are given."""
    norm = model.config.rms_norm_eps
    for module in list(model.modules()):
        for name, part in module.named_children():
            if type(part).__name__.endswith("RMSNorm"):
                setattr(module, name, torch.nn.RMSNorm(part.weight.shape, norm))
    return model.double()


def said(name, model, table, budget=10_000, head=None, temperature=1.0, **options):
    """Log-probs, entropies and values `[M]` of all rows through a layout, with gradient."""
    layout = LAYOUTS[name](**options)
    batches = list(layout.batches(table, budget))
    forward = {"temperature": temperature, "entropy": True, "head": head}
    found = [layout.forward(model, batch, **forward) for batch in batches]
    rows = torch.cat([batch.rows for batch in batches])
    assert sorted(rows.tolist()) == list(range(len(table)))
    back = torch.argsort(rows)
    return [torch.cat(parts)[back] for parts in zip(*found, strict=True) if parts[0] is not None]


def gradient(model, parts, seed=0):
    """The gradient of a weighted sum of everything that was said, with weights of both signs."""
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(len(part), generator=generator) for part in parts]
    total = sum((weight * part).sum() for weight, part in zip(weights, parts, strict=True))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    found = torch.autograd.grad(total, trained, retain_graph=True, allow_unused=True)
    return torch.cat([part.flatten() for part in found])


def differences(model, found, expected):
    """Largest differences of what was said and of its gradient, as shares of the largest number."""
    pairs = [(a.detach(), b.detach()) for a, b in zip(found, expected, strict=True)]
    pairs.append((gradient(model, found), gradient(model, expected)))
    return [float((a - b).abs().max() / b.abs().max().clamp(min=1e-2)) for a, b in pairs]
