"""The whole loop without the library's abstractions: GRPO on a two-turn task, in plain PyTorch.

Run it with `python examples/rl_loop_in_one_file.py`.

Nothing is cached, batched cleverly or configurable, so every step of the line can be read here:
sample tasks, play groups, keep the sampled ids, credit, weigh, one dot product, step. A test runs
it beside the library: three steps, same numbers.
Only the environment, the tokenizer and the untrained model come from the library.
"""

import hashlib

import numpy as np
import torch

from agentrl.backends.load import tiny
from agentrl.env import make

SEED, STEPS, TASKS, ATTEMPTS, TURN_TOKENS, LR = 0, 3, 4, 4, 4, 5e-3
IMITATED = 80
SYSTEM, USER, ASSISTANT, END = "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"


def seed_of(*parts):
    """Draws that depend on what they are for, not on what was drawn before."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def encode(tokenizer, text):
    """Text as ids."""
    return tokenizer.encode(text, add_special_tokens=False)


@torch.no_grad()
def complete(model, tokenizer, context, seed):
    """Sample one turn by inverse CDF; returns the ids, end token included, and their log-probs."""
    draws = np.random.Generator(np.random.Philox(seed)).random(TURN_TOKENS)
    end = tokenizer.convert_tokens_to_ids(END)
    ids, logprobs = [], []
    for draw in draws:
        logits = model(torch.tensor([context + ids])).logits[0, -1].float()
        probabilities = logits.softmax(-1)
        cdf = probabilities.cumsum(-1, dtype=torch.float64)
        token = min(int(torch.searchsorted(cdf, draw * cdf[-1], right=True)), len(cdf) - 1)
        ids.append(token)
        logprobs.append(float(probabilities[token].log()))
        if token == end:
            break
    return ids, logprobs


def play(model, tokenizer, env, task, seed):
    """One episode: its ids, which of them the policy sampled, and the reward."""
    text, info = env.reset(seed=task.seed, options={"task": task})
    system = f"{SYSTEM}{info['system']}{END}" if info["system"] else ""
    ids = encode(tokenizer, f"{system}{USER}{text}{END}{ASSISTANT}")
    sampled = [False] * len(ids)
    total, turn = 0.0, 0
    while True:
        new, _ = complete(model, tokenizer, ids, seed_of(seed, "main", turn))
        closed = new[-1] == tokenizer.convert_tokens_to_ids(END)
        ids, sampled = ids + new, sampled + [True] * len(new)
        action = tokenizer.decode(new[:-1] if closed else new)
        text, reward, terminated, truncated, _ = env.step(action)
        total, turn = total + reward, turn + 1
        if terminated or truncated:
            return ids, sampled, total
        reply = encode(tokenizer, f"{'' if closed else END}{USER}{text}{END}{ASSISTANT}")
        ids, sampled = ids + reply, sampled + [False] * len(reply)


def advantages(rewards):
    """GRPO: each reward against its group; all equal gives zero."""
    rewards = np.array(rewards, np.float64)
    if np.ptp(rewards) <= 1e-12:
        return np.zeros_like(rewards)
    return (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-6)


def token_losses(model, ids, sampled, advantage):
    """The clipped surrogate of every sampled token of one episode, on policy (old = new)."""
    logits = model(torch.tensor([ids])).logits[0, :-1].float()
    logprobs = logits.log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]
    logprobs = logprobs[torch.tensor(sampled[1:])]
    ratio = (logprobs - logprobs.detach()).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)


def choose(pool, step):
    """The step's tasks: the pool in a random order, without repeats until it is used up."""
    order = np.random.default_rng([SEED, 0]).permutation(len(pool))
    return [pool[order[step * TASKS + i]] for i in range(TASKS)]


def warm_start():
    """A model that knows the format and says any word: supervised steps on random answers."""
    env = make("agentrl/Echo-v0", words=4, turns=2)
    model, tokenizer = tiny(env, SEED, hidden_size=32, layers=2, corpus_tasks=50)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    rng = np.random.default_rng(SEED)
    for task in env.tasks("train", IMITATED, SEED):
        ids, sampled = [], []
        for word in task.data["words"]:
            prompt = encode(tokenizer, f"{USER}say {word}{END}{ASSISTANT}")
            answer = encode(tokenizer, f"{rng.choice(env.words)}{END}")
            ids, sampled = (
                ids + prompt + answer,
                sampled + [False] * len(prompt) + [True] * len(answer),
            )
        logits = model(torch.tensor([ids])).logits[0, :-1]
        rows = torch.tensor(sampled[1:])
        loss = torch.nn.functional.cross_entropy(logits[rows], torch.tensor(ids[1:])[rows])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, tokenizer


def main(model=None, tokenizer=None):
    """Three steps; returns success, loss and gradient norm of each."""
    if model is None:
        model, tokenizer = warm_start()
    env = make("agentrl/Echo-v0", words=4, turns=2)
    pool = env.tasks("train", 256, SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.95), weight_decay=0.0)
    history = []
    for step in range(STEPS):
        groups = []
        for task in choose(pool, step):
            seeds = [seed_of(f"{SEED}/{step}/0", task.id, attempt) for attempt in range(ATTEMPTS)]
            groups.append([play(model, tokenizer, env, task, seed) for seed in seeds])
        reward, loss, norm = update(model, optimizer, groups)
        history.append({"reward": reward, "loss": loss, "grad_norm": norm})
        print(history[-1])
    return history


def update(model, optimizer, groups):
    """Credit, weigh, one dot product, step; groups without signal are dropped."""
    credit = [advantages([reward for _, _, reward in group]) for group in groups]
    live = [(group, values) for group, values in zip(groups, credit, strict=True) if np.any(values)]
    count = sum(len(group) for group, _ in live)
    loss, norm = torch.zeros(()), 0.0
    for group, values in live:
        for (ids, sampled, _), advantage in zip(group, values, strict=True):
            loss = loss + token_losses(model, ids, sampled, float(advantage)).mean() / count
    if live:
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        optimizer.step()
        optimizer.zero_grad()
    mean_reward = float(np.mean([reward for group in groups for _, _, reward in group]))
    return mean_reward, float(loss.detach()), norm


if __name__ == "__main__":
    main()
