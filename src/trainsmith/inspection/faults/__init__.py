"""What can be wrong with a network, its set-up, its data and its learning rate, and how each is found."""
