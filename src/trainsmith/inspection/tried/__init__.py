"""Copies of a network with one remedy each, trained beside the network as it is."""
