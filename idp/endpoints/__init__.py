"""One package or file for each protocol endpoint; siblings do not import each other."""
