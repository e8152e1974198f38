"""Which findings follow from which planted fault, so that they are no false alarm beside it."""

DEPTH = {"signal vanishes", "signal explodes", "gradient vanishes", "gradient explodes", "saturated", "dead units",
         "wrong initial loss", "symmetric units", "examples look alike",
         "cannot learn one batch", "not finite"}  # fmt: skip
"""Weights of a wrong size lose the one and the other way, saturate, and leave outputs of a wrong size."""
FOLLOWS: dict[str, set[str]] = {
    **dict.fromkeys(
        ("signal vanishes", "signal explodes", "gradient vanishes", "gradient explodes", "saturated"), DEPTH
    ),
    "dead units": DEPTH,  # a rate that kills units leaves weights of any size
    "symmetric units": DEPTH,
    "unscaled inputs": DEPTH | {"batch norm's statistics"},
    "constant inputs": DEPTH | {"unscaled inputs"},
    "disconnected": {"gradient vanishes"},
    "wrong initial loss": {"gradient explodes"},
    "missing non-linearity": {"wrong initial loss"},
    "examples look alike": DEPTH,
    "not finite": DEPTH | {"wrong initial loss", "optimizer's state not finite"},
    "cannot learn one batch": {"learning rate too low", "learning rate too high", "wrong initial loss", "saturated"},
    "evaluation differs": {"batch norm's statistics", "examples look alike"},
}


def follows(finding: str, planted: str) -> bool:
    """Whether `finding` may be there because of the fault `planted`."""
    return finding in FOLLOWS.get(planted, set())
