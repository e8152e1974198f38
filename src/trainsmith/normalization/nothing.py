"""No normalization, so that it can be asked for and compared with."""

from torch import nn

from trainsmith.catalogue import technique


@technique("normalization", "nothing", name="none")
class NoNormalization(nn.Identity):
    """No normalization: inputs and layers are left as they are.

        y = x

    Paper: none.

    Differs: nothing known.

    Pitfall: inputs of very different scale then decide which weights can be learned.

    Helps: as the thing to compare with, and where the data are scaled already. Not with columns of very different
    units.

    >>> import torch
    >>> from trainsmith.normalization import NoNormalization
    >>> NoNormalization()(torch.tensor([3.0])).tolist()
    [3.0]
    """
