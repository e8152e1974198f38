"""What watch measures, for TensorBoard."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from trainsmith.errors import InvalidInput
from trainsmith.inspection.faults.fault import Finding, summed
from trainsmith.inspection.statistics.histogram import Histogram
from trainsmith.inspection.watching.measurement import Measurement

LAYER = ("mean", "std", "zeros", "dead", "saturated", "gradient", "variance_ratio", "gradient_ratio", "effective_rank")
PARAMETER = ("norm", "gradient", "update_ratio")


class Board:
    """Writes measurements with torch's SummaryWriter, or anything with its methods.

    Curves: layers/<quantity>/<layer> and parameters/<quantity>/<parameter>. Histograms: outputs/<layer> and
    gradients/<layer>, at steps looked at closely, of values that are not exactly 0. Findings are texts.
    """

    def __init__(self, writer: Any) -> None:
        self._own = isinstance(writer, (str, Path))
        self.writer = _writer(writer) if self._own else writer
        if missing := [n for n in ("add_scalar", "add_histogram_raw", "add_text") if not hasattr(self.writer, n)]:
            raise InvalidInput(
                f"tensorboard needs a folder or a SummaryWriter; got {type(writer).__name__}, without {missing[0]}."
            )

    def write(self, measured: Measurement, findings: tuple[Finding, ...]) -> None:
        """One measured step, and the findings that it showed."""
        for kind, names, things in (("layers", LAYER, measured.layers), ("parameters", PARAMETER, measured.parameters)):
            for thing in things:
                for name in names:
                    value = getattr(thing, name)
                    if value is not None and not math.isnan(value):
                        self.writer.add_scalar(f"{kind}/{name}/{thing.name}", value, measured.step)
        for layer in measured.layers:
            if layer.closely == measured.step:
                self._histogram(f"outputs/{layer.name}", layer.histogram, measured.step)
                if layer.gradient_histogram is not None:
                    self._histogram(f"gradients/{layer.name}", layer.gradient_histogram, measured.step)
        if findings:  # a second text of a step would take the place of the first
            told = "\n\n".join(f"{words} ({finding.source})" for finding, words in summed(findings))
            self.writer.add_text("findings", told, measured.step)

    def _histogram(self, tag: str, drawn: Histogram, step: int) -> None:
        edges, count = drawn.edges(), sum(drawn.counts)
        if not count:
            return
        middles = [(a + b) / 2 for a, b in pairwise(edges)]
        total = sum(c * m for c, m in zip(drawn.counts, middles, strict=True))
        squares = sum(c * m**2 for c, m in zip(drawn.counts, middles, strict=True))
        self.writer.add_histogram_raw(tag, drawn.low, drawn.high, count, total, squares, edges[1:], drawn.counts, step)

    def close(self) -> None:
        """Write everything to disk; a writer that was made here is closed."""
        if self._own:
            self.writer.close()
        elif hasattr(self.writer, "flush"):
            self.writer.flush()


def _writer(folder: str | Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InvalidInput(
            "TensorBoard output needs the package tensorboard: pip install 'trainsmith[tensorboard]'."
        ) from error
    return SummaryWriter(str(folder))
