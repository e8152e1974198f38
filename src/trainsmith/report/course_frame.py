"""What was measured while a network trained, for pandas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from trainsmith.inspection.watching.measurement import Measurement

if TYPE_CHECKING:
    import pandas as pd

HISTOGRAMS = ("histogram", "gradient_histogram")
UNMEASURED = (*HISTOGRAMS, "predicted", "verdict", "likeness", "similarity")
"""What a layer's statistics hold beside the numbers that are measured of it during a training."""


def layers_frame(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """One row per measured step and layer, in the order of the data's way."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"step": m.step, **{k: v for k, v in vars(layer).items() if k not in UNMEASURED}}
            for m in measurements
            for layer in m.layers
        ]
    )


def parameters_frame(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """One row per measured step and parameter."""
    import pandas as pd

    return pd.DataFrame([{"step": m.step, **vars(p)} for m in measurements for p in m.parameters])
