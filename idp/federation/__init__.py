"""Sign-in that others vouch for. Stateless: configuration in, Identity out. No Flask, no store, no clock of its own."""
