"""What is measured of each layer, and what theory predicts for it."""
