"""The command: parses, calls, prints. Heavy imports wait until a command needs them."""

from trainsmith.cli import compare, inspect, studies, techniques
from trainsmith.cli.door import main

__all__ = ["compare", "inspect", "main", "studies", "techniques"]
