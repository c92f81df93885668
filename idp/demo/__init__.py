"""The whole line on one machine, to be looked at: app, provider, gateway and an API behind it. Loopback only."""
