"""How members train: the course of a training, a chunk of them, one alone by the plain loop, and the receipt."""
