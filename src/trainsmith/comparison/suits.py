"""Whether a network takes a study's data and gives what the task asks for; where not, one sentence before it trains."""

import torch

from trainsmith.data import Dataset
from trainsmith.errors import InvalidInput
from trainsmith.network import Factory, build, called_by_name, told
from trainsmith.population import predictions


def check_network(network: str | Factory, dataset: Dataset) -> None:
    """Raises InvalidInput where the network as its factory makes it fails on two examples, in evaluation mode or in
    training mode, or gives outputs of another shape than the task asks for."""
    x = dataset.x[:2].clone()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        module = build(network, dataset.input_shape, dataset.outputs)
        for mode in (False, True):
            try:
                outputs = predictions(module.train(mode)(x.clone()))
            except InvalidInput:
                raise
            except Exception as error:  # it is the user's code
                raise InvalidInput(
                    f"the network {called_by_name(network)} does not take inputs of these data, (examples, "
                    f"{', '.join(map(str, dataset.input_shape))}): {told(error)}. Its factory may take (input_shape, "
                    "outputs), to make the network for the data."
                ) from error
    if not _suits(tuple(outputs.shape[1:]), dataset):
        raise InvalidInput(
            f"the network {called_by_name(network)} gives outputs of shape {tuple(outputs.shape)} for {len(x)} "
            f"examples; {dataset.task} here needs {_needed(dataset)}. Its factory may take (input_shape, outputs)."
        )


def _suits(given: tuple[int, ...], dataset: Dataset) -> bool:
    """Whether a network's outputs of this shape an example can be judged. Spare classes do no harm."""
    if dataset.classifies:
        return len(given) == 1 and given[0] >= dataset.outputs
    if dataset.task == "language":
        return len(given) == 2 and given[0] == dataset.input_shape[0] and given[1] >= dataset.outputs
    return torch.Size(given).numel() == dataset.outputs


def _needed(dataset: Dataset) -> str:
    k = dataset.outputs
    if dataset.task == "language":
        return f"(examples, {dataset.input_shape[0]}, {k}), a score for each character that may come next"
    each = "one for each class" if dataset.classifies else "one for each number or label to predict"
    return f"(examples, {k}), {each}"
