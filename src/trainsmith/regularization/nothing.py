"""No regularization, so that it can be asked for and compared with."""

from torch import nn

from trainsmith.catalogue import technique


@technique("regularization", "nothing", name="none")
class NoRegularization(nn.Identity):
    """No regularization: the loss alone, for all steps.

        J = loss

    Paper: none.

    Differs: nothing known.

    Pitfall: with few data a large network fits their noise.

    Helps: as the thing to compare with. Not for large networks on few data.

    >>> import torch
    >>> from trainsmith.regularization import NoRegularization
    >>> NoRegularization()(torch.tensor([3.0])).tolist()
    [3.0]
    """
