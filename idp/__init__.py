"""Gatehouse: an OAuth 2.0 / OpenID Connect identity provider with its own thin gateway."""
