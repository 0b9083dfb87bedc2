"""Benchmarks of DiSE. Each number stands beside a peer or a limit that was measured in the same run."""
