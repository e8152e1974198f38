"""From members to the crew that trains them: buckets, chunks of a measured size, loops for what cannot be batched."""

from collections.abc import Sequence

from torch import Tensor

from trainsmith.population.calibrate import choose
from trainsmith.population.crew import Crew, Part
from trainsmith.population.members.learner import Learner
from trainsmith.population.memory import keep_freed_memory
from trainsmith.population.pool import processes_available
from trainsmith.population.program.bucket import bucket_key
from trainsmith.population.program.program import Program
from trainsmith.population.training.alone import Alone
from trainsmith.population.training.chunk import Chunk, Unbatchable


def hire(learners: Sequence[Learner], x: Tensor, y: Tensor, steps: int, threads: int | None = None) -> Crew:
    """A crew for these members, to train `steps` steps on batches like x (n, ...), y (n, ...).

    Members of equal structure form a bucket, which is cut into chunks; a bucket that cannot be batched is
    trained by the loop, one member after another.
    """
    keep_freed_memory()
    if threads is None:
        threads = min(processes_available(), len(learners)) if x.device.type == "cpu" else 1
    buckets: dict[object, list[int]] = {}
    for i, learner in enumerate(learners):
        buckets.setdefault(bucket_key(learner, x, y), []).append(i)
    parts, words = [], []
    for places in buckets.values():
        found, told = _parts([learners[i] for i in places], places, x, y, steps, threads)
        parts += found
        words.append(told)
    return Crew(parts, len(learners), threads, "; ".join(dict.fromkeys(words)))


def _parts(
    own: list[Learner], places: list[int], x: Tensor, y: Tensor, steps: int, threads: int
) -> tuple[list[Part], str]:
    """The parts of one bucket, whose members have these places in the population, and words for them."""
    try:
        packing = choose(own, x, y, steps, threads)
        count = -(-len(own) // packing.members)
        count = min(len(own), -(-count // threads) * threads)
        program = Program(own[0].objective, packing.way)
        parts = [Part([Chunk(own[k::count], x, y, program.twin())], places[k::count]) for k in range(count)]
    except Unbatchable as reason:
        return [Part([Alone(learner)], [i]) for learner, i in zip(own, places, strict=True)], f"by the loop: {reason}"
    largest = -(-len(own) // count)
    told = f"{count} chunk{'s' * (count > 1)} of {largest}, members {packing.way}"
    if packing.seconds is not None:
        seconds = len(own) * steps * packing.seconds / threads
        told += f", {packing.seconds * 1e6:,.0f} us a member-step, about {seconds:,.1f} s"
    return parts, f"{told}, {_megabytes(parts):,.0f} MB"


def _megabytes(parts: Sequence[Part]) -> float:
    """Memory of the tensors that stay from step to step: weights, gradients, what the rule keeps."""
    return sum(t.bytes for part in parts for t in part.trainers if isinstance(t, Chunk)) / 2**20
