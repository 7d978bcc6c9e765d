"""Generation: the engine's two decoders and `transformers.generate` on one tiny model.

    python benchmarks/generation.py

The three alternate. Prints new tokens per second (median of the rounds) and the ratio to
`generate`, one line per batch size.
"""

import statistics
import time

import numpy as np
import torch

from agentrl.backends.fused import ModelDecoder
from agentrl.backends.hf import HFPolicy, make_request
from agentrl.backends.tiny import tiny_model
from agentrl.types import Sampling, Source, Span

VOCABULARY, PROMPT, NEW, ROUNDS = 1000, 32, 32, 5


class NoEnd:
    """A chat format whose end token is never sampled, so that every completion has `NEW` tokens."""

    end_ids = frozenset([VOCABULARY])

    def decode(self, ids):
        """No text is needed."""
        return ""


def engine(model, *, fused):
    """A function that completes a batch with the in-process engine."""
    policy = HFPolicy(model, NoEnd())
    if not fused:
        policy.decoder = ModelDecoder(model)

    def run(prompts):
        policy.store.clear()
        policy.generate(
            [
                make_request((Span(ids=ids, source=Source.ENV),), Sampling(max_tokens=NEW, seed=i))
                for i, ids in enumerate(prompts)
            ]
        )

    return run


def transformers(model):
    """A function that completes a batch with `generate`."""

    @torch.inference_mode()
    def run(prompts):
        ids = torch.from_numpy(prompts)
        model.generate(
            ids, do_sample=True, max_new_tokens=NEW, min_new_tokens=NEW, eos_token_id=None
        )

    return run


def seconds(run, prompts):
    """One run's time."""
    started = time.perf_counter()
    run(prompts)
    return time.perf_counter() - started


def main():
    """Measure and print."""
    torch.set_num_threads(1)
    model = tiny_model(VOCABULARY, hidden_size=64).eval()
    model.generation_config.pad_token_id = 0
    runs = {
        "fused": engine(model, fused=True),
        "model": engine(model, fused=False),
        "generate": transformers(model),
    }
    rng = np.random.default_rng(0)
    print("| batch | fused | own forward | generate | fused / generate | own forward / generate |")
    print("|---|---|---|---|---|---|")
    for batch in (1, 16, 64, 256):
        prompts = rng.integers(5, VOCABULARY, size=(batch, PROMPT))
        times = {name: [] for name in runs}
        for _ in range(ROUNDS + 1):  # the first round warms up
            for name, run in runs.items():
                times[name].append(seconds(run, prompts))
        rate = {name: batch * NEW / statistics.median(t[1:]) for name, t in times.items()}
        print(
            f"| {batch} | {rate['fused']:.0f} | {rate['model']:.0f} | {rate['generate']:.0f} "
            f"| {rate['fused'] / rate['generate']:.2f} | {rate['model'] / rate['generate']:.2f} |"
        )


if __name__ == "__main__":
    main()
