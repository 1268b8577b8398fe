"""Measure tmpnb, alone and beside its peers."""
