"""Servers that carry the provider: granian behind a TLS front, gunicorn when TLS ends here."""
