"""What happened, in a table that shows when somebody changed it.

Rows enter unchained, in the transaction of what they tell; one leased sealer numbers and chains them each second.
A chain in the request path would make every commit wait for every other.
"""
