"""Who trains the members of a task in benchmarks/population.py, and how. Each lives in a process of its own.

Everybody gets the same initial weights, batches and learning rates (scikit-learn cannot; it says so), takes
the warm-up steps when it is made, and then `round()` after round the same number of steps.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from tasks import WARM_UP, Task, tasks
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

CORES = os.cpu_count() or 1


class Competitor:
    """Trains the members of a task. setting: what was chosen as its best, in words."""

    setting = ""
    workers: Sequence[Any] = ()

    def __init__(self, task: Task) -> None:
        self.task = task
        self.orders = torch.from_numpy(task.orders())
        self.done = 0
        self.prepare()
        self.losses = self.train(WARM_UP)

    def prepare(self) -> None:
        raise NotImplementedError

    def train(self, steps: int) -> list[float]:
        """The members' losses before the last of these steps."""
        raise NotImplementedError

    def round(self) -> list[float]:
        return self.train(self.task.steps)

    def close(self) -> None:
        """End the processes that work for it."""
        for worker in self.workers:
            worker.shutdown()

    def upcoming(self, steps: int) -> Iterator[Tensor]:
        """The examples (members, batch) of the next steps."""
        for s in range(self.done, self.done + steps):
            yield self.orders[:, s]
        self.done += steps


class Trainsmith(Competitor):
    """trainsmith.Population, packed as it packs itself."""

    def prepare(self) -> None:
        import trainsmith

        self.population = trainsmith.Population(
            self.task.networks(), lr=self.task.rates(), seeds=range(self.task.members)
        )
        first = self.orders[0, 0]
        self.population._ready(self.task.x[first], self.task.y[first], self.task.rounds * self.task.steps)

    def train(self, steps: int) -> list[float]:
        fit = self.population.fit(self.task.x, self.task.y, steps, self.task.batch_size)
        self.setting = self.population.plan
        return fit.losses[-1].tolist()


def fastest(make: Callable[[Any], Callable[[], object]], settings: list[Any]) -> Any:
    """The setting whose work is done soonest, of three goes each."""

    def seconds(setting: Any) -> float:
        work, times = make(setting), []
        for _ in range(3):
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
        return min(times)

    return min(settings, key=seconds)


def plain(task: Task, members: list[int], threads: int, fused: bool) -> list[tuple[nn.Module, torch.optim.Optimizer]]:
    torch.set_num_threads(threads)
    networks, rates = task.networks(), task.rates()
    return [(networks[k], torch.optim.Adam(networks[k].parameters(), lr=rates[k], fused=fused)) for k in members]


def steps_of(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, order: Tensor) -> float:
    for chosen in order:
        loss = nn.functional.cross_entropy(network(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


class Loop(Competitor):
    """One process, one member after another, torch.optim.Adam; threads and fused or foreach as is fastest."""

    def prepare(self) -> None:
        def make(setting: tuple[int, bool]) -> Callable[[], object]:
            ((network, optimizer),) = plain(self.task, [0], *setting)
            return lambda: steps_of(network, optimizer, self.task.x, self.task.y, self.orders[0, :5])

        threads, fused = fastest(make, [(t, f) for t in sorted({1, CORES}) for f in (True, False)])
        self.setting = f"{threads} threads, {'fused' if fused else 'foreach'} Adam"
        self.members = plain(self.task, list(range(self.task.members)), threads, fused)

    def train(self, steps: int) -> list[float]:
        own = self.orders[:, self.done : self.done + steps]
        self.done += steps
        return [steps_of(*m, self.task.x, self.task.y, o) for m, o in zip(self.members, own, strict=True)]


class Pool(Competitor):
    """That loop in one process a core, one thread each; the processes stay alive."""

    setting = f"{CORES} processes of 1 thread, fused Adam"

    def prepare(self) -> None:
        shares = [list(range(self.task.members))[i::CORES] for i in range(CORES)]
        self.shares = [s for s in shares if s]
        self.workers = [
            ProcessPoolExecutor(
                1,
                get_context("spawn"),
                initializer=_hold,
                initargs=(self.task.number, self.task.members, self.task.steps, self.task.rounds, s),
            )
            for s in self.shares
        ]

    def train(self, steps: int) -> list[float]:
        jobs = [w.submit(_train_held, steps) for w in self.workers]
        losses = {}
        for share, job in zip(self.shares, jobs, strict=True):
            losses.update(zip(share, job.result(), strict=True))
        return [losses[k] for k in range(self.task.members)]


def _hold(number: str, count: int, steps: int, rounds: int, members: list[int]) -> None:
    """In a worker: build its members once, and keep them."""
    task = replace(tasks(False, rounds)[number](), members=count, steps=steps)
    _held.update(
        task=task, members=plain(task, members, 1, True), orders=torch.from_numpy(task.orders())[members], done=0
    )


_held: dict[str, Any] = {}


def _train_held(steps: int) -> list[float]:
    task, done = _held["task"], _held["done"]
    own = _held["orders"][:, done : done + steps]
    _held["done"] += steps
    return [steps_of(*m, task.x, task.y, o) for m, o in zip(_held["members"], own, strict=True)]


class CompiledLoop(Competitor):
    """The loop with loss and gradients compiled by torch.compile, once for all members, and fused Adam."""

    def prepare(self) -> None:
        network = self.task.networks()[0].train()

        def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return nn.functional.cross_entropy(functional_call(network, (parameters, buffers), (x,)), y)

        torch.set_num_threads(1)
        self.setting = "1 thread, fused Adam"
        self.step = torch.compile(grad_and_value(loss))
        self.members = plain(self.task, list(range(self.task.members)), 1, True)

    def train(self, steps: int) -> list[float]:
        own = self.orders[:, self.done : self.done + steps]
        self.done += steps
        last = []
        for (network, optimizer), order in zip(self.members, own, strict=True):
            parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
            detached = {n: p.detach() for n, p in parameters.items()}
            for chosen in order:
                gradients, loss = self.step(detached, buffers, self.task.x[chosen], self.task.y[chosen])
                for n, p in parameters.items():
                    p.grad = gradients[n]
                optimizer.step()
            last.append(loss.item())
        return last


class Vmap(Competitor):
    """What PyTorch's tutorial on model ensembling does: stack_module_state, vmap, and Adam on stacked tensors."""

    def prepare(self) -> None:
        networks = self.task.networks()
        self.base = networks[0]
        stacked, buffers = stack_module_state(networks)
        self.parameters = {n: p.detach() for n, p in stacked.items()}
        self.buffers = buffers
        self.moments = {n: (torch.zeros_like(p), torch.zeros_like(p)) for n, p in self.parameters.items()}
        self.rates = torch.tensor(self.task.rates())
        self.t = 0
        torch.set_num_threads(CORES)
        self.setting = f"{CORES} threads"

    def loss(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(functional_call(self.base, (parameters, buffers), (x,)), y)

    def train(self, steps: int) -> list[float]:
        step = vmap(grad_and_value(self.loss))
        for chosen in self.upcoming(steps):
            gradients, losses = step(self.parameters, self.buffers, self.task.x[chosen], self.task.y[chosen])
            self.t += 1
            for n, p in self.parameters.items():
                m, v = self.moments[n]
                g = gradients[n]
                m.lerp_(g, 0.1)
                v.mul_(0.999).addcmul_(g, g, value=0.001)
                rate = (self.rates / (1 - 0.9**self.t)).view(-1, *(1,) * (p.ndim - 1))
                p.sub_(rate * m / ((v / (1 - 0.999**self.t)).sqrt_() + 1e-8))
        return losses.tolist()


class ModelBatch(Competitor):
    """modelbatch from PyPI: its ModelBatch and its factory of optimizers with a learning rate a member."""

    def prepare(self) -> None:
        from modelbatch import ModelBatch as Batch
        from modelbatch import OptimizerFactory

        torch.set_num_threads(CORES)
        self.setting = f"{CORES} threads"
        self.batch = Batch(self.task.networks(), shared_input=False)
        factory = OptimizerFactory(torch.optim.Adam)
        self.optimizer = factory.create_optimizer(self.batch, [{"lr": r} for r in self.task.rates()])

    def train(self, steps: int) -> list[float]:
        for chosen in self.upcoming(steps):
            outputs, y = self.batch(self.task.x[chosen]), self.task.y[chosen]
            losses = vmap(nn.functional.cross_entropy)(outputs, y)
            self.optimizer.zero_grad()
            losses.sum().backward()
            self.optimizer.step()
        return losses.tolist()


class Jax(Competitor):
    """Hand-written JAX for the multi-layer perceptrons: jax.vmap, lax.scan over the steps, optax's Adam, jit."""

    def prepare(self) -> None:
        import jax
        import jax.numpy as jnp
        import optax

        networks = self.task.networks()
        linear = [[m for m in n if isinstance(m, nn.Linear)] for n in networks]
        depth = len(linear[0])
        parameters = [
            (
                jnp.asarray(np.stack([layers[i].weight.detach().numpy().T for layers in linear])),
                jnp.asarray(np.stack([layers[i].bias.detach().numpy() for layers in linear])),
            )
            for i in range(depth)
        ]
        x, y = jnp.asarray(self.task.x.flatten(1).numpy()), jnp.asarray(self.task.y.numpy().astype(np.int32))
        adam = optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8)

        def loss(parameters: Any, chosen: Any) -> Any:
            h = x[chosen]
            for i, (w, b) in enumerate(parameters):
                h = h @ w + b
                h = jax.nn.relu(h) if i < depth - 1 else h
            return optax.softmax_cross_entropy_with_integer_labels(h, y[chosen]).mean()

        def member(parameters: Any, state: Any, rate: Any, order: Any) -> Any:
            def step(carry: Any, chosen: Any) -> Any:
                parameters, state = carry
                value, gradients = jax.value_and_grad(loss)(parameters, chosen)
                moves, state = adam.update(gradients, state)
                return (jax.tree.map(lambda p, m: p - rate * m, parameters, moves), state), value

            (parameters, state), losses = jax.lax.scan(step, (parameters, state), order)
            return parameters, state, losses[-1]

        self.run = jax.jit(jax.vmap(member), donate_argnums=(0, 1))
        self.state = parameters, jax.vmap(adam.init)(parameters)
        self.rates = jnp.asarray(np.array(self.task.rates(), np.float32))
        self.setting = f"jax {jax.__version__}, vmap of scan, jit"
        import warnings

        warnings.simplefilter("ignore")
        orders = self.orders[:, : self.task.steps].numpy().astype(np.int32)
        copies = jax.tree.map(jnp.copy, self.state)
        jax.block_until_ready(self.run(*copies, self.rates, orders))  # compiles for the rounds' length

    def train(self, steps: int) -> list[float]:
        order = self.orders[:, self.done : self.done + steps].numpy().astype(np.int32)
        self.done += steps
        parameters, state, losses = self.run(*self.state, self.rates, order)
        self.state = parameters, state
        return np.asarray(losses).tolist()


class ScikitLearn(Competitor):
    """MLPClassifier under joblib: its own initial weights and batches, whole passes over the data."""

    def prepare(self) -> None:
        hidden = self.task.widths[1:-1]
        wanted = self.task.steps * self.task.batch_size
        self.examples = min(wanted, len(self.task.x))
        self.passes = max(1, round(wanted / self.examples))
        self.setting = f"{CORES} processes, {self.passes} passes a round; own weights and batches"
        self.arguments = {"hidden_layer_sizes": hidden, "batch_size": self.task.batch_size, "max_iter": self.passes}

    def samples(self) -> int:
        return self.passes * self.examples

    def train(self, steps: int) -> list[float]:
        import joblib

        x, y = self.task.x[: self.examples].flatten(1).numpy(), self.task.y[: self.examples].numpy()
        work = [joblib.delayed(_sklearn)(x, y, self.arguments, k, r) for k, r in enumerate(self.task.rates())]
        return joblib.Parallel(n_jobs=CORES)(work)

    def close(self) -> None:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown()  # joblib's workers would wait for more for minutes


def _sklearn(x: np.ndarray, y: np.ndarray, arguments: dict[str, Any], seed: int, rate: float) -> float:
    import warnings

    from sklearn.neural_network import MLPClassifier

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    model = MLPClassifier(**arguments, learning_rate_init=rate, alpha=0.0, random_state=seed, n_iter_no_change=10**6)
    return float(model.fit(x, y).loss_)


COMPETITORS: dict[str, type[Competitor]] = {
    "trainsmith": Trainsmith,
    "loop": Loop,
    "pool of loops": Pool,
    "compiled loop": CompiledLoop,
    "vmap": Vmap,
    "modelbatch": ModelBatch,
    "jax": Jax,
    "scikit-learn": ScikitLearn,
}
PERCEPTRONS_ONLY = ("jax", "scikit-learn")
