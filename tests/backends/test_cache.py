"""Key-value states by content: found again exactly, dropped when old, forgotten when stale."""

import numpy as np
import torch

from agentrl.backends.cache import GrowingLayer, PrefixStore, batch_cache


def ids(*values):
    return np.array(values, np.int64)


def filled(store, *lengths):
    """Sequences of these lengths, told apart by their first id."""
    for number, length in enumerate(lengths):
        store.put(ids(number, *range(length - 1)), torch.full((1,), float(number)))
    return store


def held(store, *lengths):
    return [store.find(ids(n, *range(length - 1))) is not None for n, length in enumerate(lengths)]


def test_states_are_found_by_exactly_their_ids():
    store = filled(PrefixStore(100), 3)
    assert store.find(ids(0, 0, 1)).tolist() == [0.0]
    assert store.find(ids(0, 0)) is None
    assert store.find(ids(0, 0, 1, 2)) is None


def test_the_least_recently_used_goes_first():
    store = filled(PrefixStore(10), 4, 4)
    assert store.find(ids(0, 0, 1, 2)) is not None
    store.put(ids(2, 0, 1, 2), torch.zeros(1))
    assert held(store, 4, 4, 4) == [True, False, True]
    assert store.num_tokens == 8


def test_the_last_sequence_stays_however_long():
    store = filled(PrefixStore(5), 3, 50)
    assert held(store, 3, 50) == [False, True]
    assert store.num_tokens == 50


def test_the_same_ids_are_kept_once():
    store = filled(PrefixStore(100), 3)
    store.put(ids(0, 0, 1), torch.ones(1))
    assert store.num_tokens == 3


def test_clearing_forgets_everything():
    store = filled(PrefixStore(100), 3, 4)
    store.clear()
    assert held(store, 3, 4) == [False, False]
    assert store.num_tokens == 0


def test_a_growing_layer_appends_in_place():
    layer = GrowingLayer(torch.zeros(2, 3, 1, 5, 2), 1)
    keys, values = layer.update(torch.ones(3, 1, 2, 2), 2 * torch.ones(3, 1, 2, 2))
    assert (keys.shape, layer.get_seq_length()) == ((3, 1, 3, 2), 3)
    assert keys[0, 0, :, 0].tolist() == [0, 1, 1]
    assert values[0, 0, :, 0].tolist() == [0, 2, 2]


def test_a_growing_layer_keeps_the_rows_it_is_told():
    layer = GrowingLayer(torch.arange(3.0).view(1, 3, 1, 1, 1).repeat(2, 1, 1, 4, 1), 2)
    layer.keep(torch.tensor([0, 2]))
    assert layer.keys[:, 0, 0, 0].tolist() == [0, 2]


def test_all_layers_of_a_batch_share_one_memory():
    memory, cache = batch_cache((2, 3, 1, 4, 2), torch.float32, torch.device("cpu"))
    cache.layers[1].update(torch.ones(3, 1, 1, 2), torch.ones(3, 1, 1, 2))
    assert memory[0].sum() == 0
    assert memory[1].sum() == 12
