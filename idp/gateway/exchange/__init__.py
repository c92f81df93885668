"""Swapping the caller's token for one that is meant for the server behind (RFC 8693 at the edge).

The caller's token goes to the provider that issued it and nowhere else: what cannot be exchanged is refused. Asking
happens in threads; a request that finds its token exchanged already waits for nothing.
"""
