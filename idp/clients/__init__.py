"""Client rules: who a client is, how it proves it, what it may ask for. No Flask."""
