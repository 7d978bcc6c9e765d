"""A new algorithm: a loss of your own in a record that differs from GRPO, compared with GRPO.

Run it with `python examples/write_an_algorithm.py`.
"""

import torch

from agentrl import View, algorithm, build_run, part, run_training


def positive_only(view: View, *, floor: float = 0.1) -> torch.Tensor:
    """Imitate what went better than its group; push the rest away only a little.

    Formula: -A' logp, A' = A if A > 0 else {floor} A
    """
    credit = torch.where(view.advantage > 0, view.advantage, floor * view.advantage)
    view.log("positive_share", (view.advantage > 0).float())
    return -credit * view.logprobs


POSITIVE = algorithm("grpo").but(loss=part(positive_only, floor=0.05))

SETTINGS = {
    "env": {"id": "agentrl/Echo-v0", "words": 2},
    "model": {"name": "tiny", "hidden_size": 32, "layers": 2, "corpus_tasks": 50},
    "warm_start": {"episodes": 256, "steps": 40, "lr": 1e-2, "warmup_steps": 5},
    "limits": {"turn_tokens": 4},
    "rollout": {"tasks": 8, "attempts": 8},
    "learner": {"lr": 3e-3},
    "train": {"steps": 40, "train_tasks": 512, "eval_tasks": 128},
}


def main() -> dict[str, float]:
    """Train with both; returns held-out success after training by algorithm."""
    after = {}
    for name, record in {"grpo": "grpo", "positive_only": f"{__name__}:POSITIVE"}.items():
        run = build_run({**SETTINGS, "algorithm": record, "out": f"runs/write_an_algorithm/{name}"})
        after[name] = run_training(run)["after"]["success"]
    return after


if __name__ == "__main__":
    print(main())
