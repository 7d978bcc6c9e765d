"""Fixtures for all tests. One thread, no downloads, nothing left behind."""

import os
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from hypothesis import settings

from agentrl.backends.tiny import tiny_model, word_tokenizer
from agentrl.chat import TemplateChat

os.environ.setdefault("ACCELERATE_USE_CPU", "true")  # equal numbers, whatever the machine has
torch.set_num_threads(1)
settings.register_profile("agentrl", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("agentrl")

TEXTS = ("say red green blue pink gold grey teal lime", "you said the word back: right")


@dataclass(frozen=True)
class Tiny:
    """A tokenizer and its chat format, and as many equal models as a test wants."""

    tokenizer: Any
    chat: TemplateChat
    folder: str
    """Such a model and the tokenizer, saved."""

    def fresh(self, seed=0):
        """A new model with the weights of `seed`: 2 layers of 32, float32."""
        size = len(self.tokenizer)
        return tiny_model(size, hidden_size=32, layers=2, heads=2, context=256, seed=seed)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Everything a test needs of a language model."""
    tokenizer, folder = word_tokenizer(TEXTS), str(tmp_path_factory.mktemp("tiny"))
    made = Tiny(tokenizer, TemplateChat(tokenizer), folder)
    tokenizer.save_pretrained(folder)
    made.fresh(seed=1).save_pretrained(folder)
    return made


@pytest.fixture
def accelerate_anew():
    """Accelerate remembers its first precision per process: forget it before and after."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
