"""Reading and changing an nn.Module: reference networks, swapping techniques in, structural signature."""

from trainsmith.initialization import weight_layers
from trainsmith.network.by_name import change
from trainsmith.network.factory import build, build_with, called_by_name, families_taken, named_factory
from trainsmith.network.fingerprint import fingerprint
from trainsmith.network.named import behind
from trainsmith.network.own_code import named_augmentation, named_in_code, told
from trainsmith.network.pooling import swap_pooling
from trainsmith.network.reading import techniques_of
from trainsmith.network.reference import NETWORKS, Factory, default_network, mlp
from trainsmith.network.signature import signature
from trainsmith.network.surgery import Surgery, apply

__all__ = [
    "NETWORKS",
    "Factory",
    "Surgery",
    "apply",
    "behind",
    "build",
    "build_with",
    "called_by_name",
    "change",
    "default_network",
    "families_taken",
    "fingerprint",
    "mlp",
    "named_augmentation",
    "named_factory",
    "named_in_code",
    "signature",
    "swap_pooling",
    "techniques_of",
    "told",
    "weight_layers",
]
