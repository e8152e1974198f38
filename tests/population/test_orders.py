"""Orders of examples are drawn as they are asked for, and are those drawn in one piece."""

import numpy as np
import pytest

from trainsmith import luck
from trainsmith.population.members.orders import examples_of


@pytest.mark.parametrize("looks", [[(0, 40)], [(0, 7), (7, 14), (14, 39), (39, 40)], [(20, 25), (0, 3), (1, 40)]])
def test_pieces_are_those_of_the_whole(looks):
    (order,), n = examples_of([3], 50, 8, range(5, 45), None, [0], range(0))
    whole = luck.batches(3, np.arange(50), 8, 40, 5)
    assert n == 8
    for start, stop in looks:
        assert np.array_equal(order.between(start, stop), whole[start:stop])


def test_a_long_training_is_not_drawn_at_once(monkeypatch):
    drawn, real = [], luck.generator
    monkeypatch.setattr(luck, "generator", lambda *words: drawn.append(words) or real(*words))
    (order,), _ = examples_of([3], 1000, 10, range(1_000_000), None, [0], range(0))
    for start in range(0, 200, 25):
        order.between(start, start + 25)
    assert len(drawn) <= 4, "each pass about once"


def test_members_that_see_everything_at_each_step_share_an_order_whatever_their_seeds():
    orders, n = examples_of([1, 2, 3], 20, None, range(10**9), None, [0, 0, 0], range(0))
    assert orders[0] is orders[1] is orders[2]
    assert n == 20
    assert np.array_equal(orders[0].between(7, 9), np.stack([np.arange(20)] * 2))
    apart, _ = examples_of([1, 2], 20, 5, range(10), None, [0, 0], range(0))
    assert apart[0] is not apart[1]
    others, _ = examples_of([1, 2], 20, None, range(10), None, [1, 1], range(20, 40))
    assert not np.array_equal(others[0].between(0, 2), others[1].between(0, 2)), "unlabelled ones are drawn"
