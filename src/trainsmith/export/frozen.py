"""What the owner of a network froze, as statements of plain PyTorch."""

from collections.abc import Sequence

from torch import nn


def frozen(network: nn.Module) -> list[str]:
    """The statements that freeze what the owner of `network` froze, the outermost modules that are frozen whole.

    By requires_grad=False, and in a network in training by evaluation mode.
    """
    lines: list[str] = []
    still: list[str] = []
    held: list[str] = []
    for path, module in network.named_modules():
        if network.training and not module.training and not _inside(path, still):
            still.append(path)
            lines.append(f'network.get_submodule("{path}").eval()')
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own) and not _inside(path, held):
            held.append(path)
            lines.append(f'network.get_submodule("{path}").requires_grad_(False)')
    for path, p in network.named_parameters():
        if not p.requires_grad and not _inside(path, held):
            lines.append(f'network.get_parameter("{path}").requires_grad_(False)')
    return lines


def _inside(path: str, others: Sequence[str]) -> bool:
    return any(path == other or path.startswith(f"{other}." if other else "") for other in others)
