"""Which members may train as one population: those of equal structure, whatever their numbers."""

from typing import cast

from torch import Tensor

from trainsmith.network import signature
from trainsmith.population.members.learner import Learner
from trainsmith.population.members.objective import Objective, in_training


def bucket_key(member: Learner, x: Tensor, y: Tensor) -> object:
    """Equal for members that may train as one population: structure, optimizer, its numbers' names."""
    if member.bucket is None:
        few = 2 * member.networks
        inputs, targets = x[:few].clone(), member.targets(y[:few])
        structure = signature(member.objective, lambda m: in_training(cast(Objective, m))(inputs, targets))
        member.bucket = (
            structure,
            member.rule,
            tuple(member.numbers),
            member.clipping,
            member.spared,
            member.outside,
            type(member.average),
            *member.also_equal(),
        )
    return member.bucket
