"""Rules of the protocols. Plain Python: no I/O, no clock, no Flask; `now` is an argument."""
