"""How much one caller may take: token buckets of this process, or shared by several gateways through Redis.

Whole numbers only, and no clock of its own. A request takes from all of its buckets or from none. Nothing waits here:
what Redis has to be asked is a Future, and a Redis that is away leaves each gateway its share of every limit.
"""
