"""What a route asks for beyond a sound token: a closed vocabulary, so that a machine can say who may do what.

Read once into frozen conditions, compiled once to closures. No I/O, no server, no clock: the moment is an argument.
"""
