"""What layers see, or are told, of their network before it is trained."""

from torch import Tensor, nn

from trainsmith.initialization import calls_in_turn, outputs_of
from trainsmith.regularization import ActivityPenalty


def initialize_from_data(root: nn.Module, example: Tensor) -> None:
    """Let the layers that start from what they are given see it, in the order in which it reaches them."""

    def first(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        module.initialize(args[0])  # type: ignore[operator]
        hooks.pop(module).remove()

    waiting = [m for m in root.modules() if hasattr(m, "initialize")]
    hooks = {m: m.register_forward_pre_hook(first) for m in waiting}
    if hooks:
        outputs_of(root, example)
    for hook in hooks.values():
        hook.remove()


def count_calls(root: nn.Module, example: Tensor) -> None:
    """Tell the layers that note what activations cost how often a pass calls them."""
    noting = [m for m in root.modules() if isinstance(m, ActivityPenalty)]
    if noting:
        calls, _ = calls_in_turn(root, noting, example[:2])
        for m in noting:
            m.calls = max(1, calls.count(m))
