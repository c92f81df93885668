"""What `make check` looks at beside the linters; each module runs by `python -m`."""
