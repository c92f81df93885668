"""The servers behind the gateway: where they are, how they are trusted, and which of them are well.

A failing server is left alone for a while and comes back by itself. Nobody waits for one that is known to be away.
"""
