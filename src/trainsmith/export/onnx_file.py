"""The winner's network as an ONNX file, on request."""

import contextlib
import importlib.util
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainsmith.errors import InvalidInput, shown

NEEDED = ("onnx", "onnxscript", "onnxruntime")
FARTHEST = 1e-3
"""Outputs that lie further from PyTorch's, relative to the largest of them, are not rounding."""


def onnx_of(winner: Path, x: Tensor) -> tuple[bytes, str]:
    """The ONNX file of an exported network, for any number of examples, and how near its outputs are, in words.

    winner: the folder of the export, whose model.py is run. x: examples, of which 64 are tried at most. Raises
    InvalidInput where a package is missing, or for a network that cannot be converted.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise InvalidInput(f"ONNX needs {', '.join(missing)}, not installed here: pip install 'trainsmith[onnx]'.")
    network, x = _network(winner), x[:64].clone()
    try:
        logging.disable(logging.WARNING)
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            shapes = ({0: torch.export.Dim("examples")},)
            options: dict[str, Any] = {"dynamic_shapes": shapes, "input_names": ["x"], "output_names": ["outputs"]}
            program = torch.onnx.export(network, (x[:2],), dynamo=True, verbose=False, **options)
            written = program.model_proto.SerializeToString()  # type: ignore[union-attr]
    except Exception as error:  # the converter raises whatever it met
        raise InvalidInput(f"the network cannot be converted to ONNX: {shown(error, 200)}.") from error
    finally:
        logging.disable(logging.NOTSET)
    deviation = _deviation(written, network, x)
    if not deviation < FARTHEST:
        raise InvalidInput(
            f"the network as ONNX gives other outputs than in PyTorch, by {deviation:.1e} of their size."
        )
    return written, f"; the outputs of model.onnx lie within {deviation:.1e} of PyTorch's, relative to the largest"


def _network(winner: Path) -> torch.nn.Module:
    """What the winner's model.py builds, with the trained weights, in evaluation mode."""
    from safetensors.torch import load_file

    names: dict[str, Any] = {"__name__": "model"}
    exec(compile((winner / "model.py").read_text(encoding="utf-8"), str(winner / "model.py"), "exec"), names)
    network: torch.nn.Module = names["build"]()
    network.load_state_dict(load_file(winner / "weights.safetensors"))
    return network.eval()


def _deviation(written: bytes, network: torch.nn.Module, x: Tensor) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x.numpy()})[:1]
    with torch.no_grad():
        output = network(x)
    output = getattr(output, "logits", output)
    wanted = output[0] if isinstance(output, (tuple, list)) else output
    return float((torch.from_numpy(found) - wanted).abs().max() / wanted.abs().max())
