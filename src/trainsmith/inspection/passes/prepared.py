"""Networks made ready for a short training."""

from torch import nn
from torch.nn.modules.dropout import _DropoutNd


def without_dropout(module: nn.Module) -> nn.Module:
    """The module itself, its torch.nn dropout layers switched off until it is told `train()` again."""
    for m in module.modules():
        if isinstance(m, _DropoutNd):
            m.eval()
    return module


def with_dense_gradients(module: nn.Module) -> nn.Module:
    """The module itself, whose embeddings' gradients Adam can take."""
    for m in module.modules():
        if isinstance(m, (nn.Embedding, nn.EmbeddingBag)):
            m.sparse = False
    return module
