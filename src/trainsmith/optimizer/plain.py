"""What torch.optim lacks, in torch alone: exported source contains it as it stands here."""

import torch


class Optimizer(torch.optim.Optimizer):
    """An update rule, applied to each parameter in turn.

    coefficients(t, **hyperparameters) gives the numbers of step t, from 1; update(theta, g, *kept, **coefficients)
    moves a parameter and what is kept for it in place. A rule that looks at a whole parameter is told how many axes
    it has.
    """

    moments: tuple = ()
    per_tensor = False
    evaluated = coefficients = update = None

    def __init__(self, params, **hyperparameters):
        super().__init__(params, hyperparameters)
        self.numbers = tuple(hyperparameters)

    @classmethod
    def kept(cls, shape):
        """Names and shapes of what is kept for a parameter of this shape, zero at the start."""
        return {name: tuple(shape) for name in cls.moments}

    def _kept(self, group, theta):
        return self.kept(theta.shape)

    def _of_step(self, group, t):
        return self.coefficients(t, **{name: group[name] for name in self.numbers})  # type: ignore[misc]

    @torch.no_grad()
    def step(self, closure=None):
        """One step on every parameter that has a gradient."""
        for group in self.param_groups:
            for theta in group["params"]:
                if theta.grad is None:
                    continue
                state = self.state[theta]
                if not state:
                    state["step"] = 0
                    state["kept"] = [theta.new_zeros(shape) for shape in self._kept(group, theta).values()]
                state["step"] += 1
                own = {"axes": theta.ndim} if self.per_tensor else {}
                numbers = self._of_step(group, state["step"])
                self.update(theta, theta.grad, *state["kept"], **own, **numbers)  # type: ignore[misc]

    @torch.no_grad()
    def eval(self):
        """Put the weights to evaluate into the parameters, where the rule has others than those it trains."""
        for group in self.param_groups:
            for theta in group["params"]:
                state = self.state[theta]
                if self.evaluated is not None and state and "trained" not in state:
                    weights = self.evaluated(theta, *state["kept"], **self._of_step(group, state["step"]))
                    state["trained"] = theta.detach().clone()
                    theta.copy_(weights)

    @torch.no_grad()
    def train(self):
        """Put the weights that are trained back into the parameters."""
        for theta, state in self.state.items():
            if "trained" in state:
                theta.copy_(state.pop("trained"))
