"""A network with what it is inspected on, and one pass of it with every layer's outputs and gradients."""
