"""Tests of tmpnb/spawners/egress."""
