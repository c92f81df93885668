"""What a file declares, and a store that is made to agree with it: planned in words, applied at once, taken back whole.

A declaration takes back only what it has made. Whatever people made by hand stays, unless they ask to prune.
"""
