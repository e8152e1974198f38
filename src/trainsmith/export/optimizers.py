"""The optimizers of torch.optim that take the steps of ours, as calls with our hyper-parameters."""

from collections.abc import Mapping

TORCH = {
    "sgd": "SGD({params}, lr={lr})",
    "momentum": "SGD({params}, lr={lr}, momentum={momentum})",
    "nesterov": "SGD({params}, lr={lr}, momentum={momentum}, nesterov=True)",
    "adagrad": "Adagrad({params}, lr={lr}, eps={eps})",
    "adadelta": "Adadelta({params}, lr={lr}, rho={rho}, eps={eps})",
    "rmsprop": "RMSprop({params}, lr={lr}, alpha={alpha}, eps={eps})",
    "rmsprop-centred": "RMSprop({params}, lr={lr}, alpha={alpha}, eps={eps}, centered=True)",
    "adam": "Adam({params}, lr={lr}, betas=({beta1}, {beta2}), eps={eps})",
    "adamw": "AdamW({params}, lr={lr}, betas=({beta1}, {beta2}), eps={eps}, weight_decay={weight_decay})",
    "amsgrad": "Adam({params}, lr={lr}, betas=({beta1}, {beta2}), eps={eps}, amsgrad=True)",
    "adamax": "Adamax({params}, lr={lr}, betas=({beta1}, {beta2}), eps={eps})",
    "radam": "RAdam({params}, lr={lr}, betas=({beta1}, {beta2}), eps={eps})",
}
"""By the names of the catalogue; any other rule is exported with its own source."""


def of_torch(name: str, trained: str, numbers: Mapping[str, str]) -> str | None:
    """The call that makes torch's optimizer of this name; None where torch has none that is equal.

    trained: what makes the parameters, numbers: the hyper-parameters, as text.
    """
    call = TORCH.get(name)
    return None if call is None else "torch.optim." + call.format(params=trained, **numbers)
