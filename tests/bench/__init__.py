"""Speed beside rivals: `make bench` measures, and writes docs/benchmarks.md. Nothing here is a test."""
