"""Namewall: network policy by DNS name for any Linux workload, enforced in the kernel."""

__version__ = "0.1.0"
