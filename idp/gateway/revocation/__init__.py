"""Which verified tokens count no longer: told by the provider (RFC 8936), kept until they would have expired anyway.

One thread asks and writes; every request reads without a lock. Nothing is acknowledged before it is kept. When the
provider has said nothing for too long, each route has its own answer to that: see `doubt`.
"""
