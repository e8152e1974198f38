"""The winner as plain PyTorch source and weights."""

from trainsmith.export.winner import export_winner

__all__ = ["export_winner"]
