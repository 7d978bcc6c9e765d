"""How trainers that meet only in the journal get along: the section `exchange`."""

from __future__ import annotations

from dataclasses import dataclass

from agentrl.errors import ConfigError

NUMBERS = ("max_lag", "keep", "lease_seconds", "deadline_seconds", "poll_seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class Partnership:
    """What `--only` runs of one configuration agree on."""

    channel: str = ""
    """Tells exchanges in one journal apart; by default the run's `out`."""
    bound: int = 0
    """Groups that may wait for a trainer before `main`'s waits for it; 0 is two steps of them."""
    max_lag: int = 8
    """Steps between the newest weights and those that sampled; older groups are not trained."""
    keep: int = 4
    """Published versions that stay on disk: the others load them from there."""
    lease_seconds: float = 900.0
    """How long a step's groups are a trainer's own: longer than its longest step."""
    deadline_seconds: float = 1800.0
    """Waiting longer than this for another trainer is an error that says who is missing."""
    poll_seconds: float = 0.2

    def __post_init__(self) -> None:
        for name in NUMBERS:
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"exchange.{name} is {getattr(self, name)}: give more than 0", name
                )
        if self.bound < 0:
            raise ConfigError(f"exchange.bound is {self.bound}: give 0 or more", "bound")
