"""Symmetries of networks as data, derived from the network itself, applied and verified."""
