"""Tests of tmpnb/spawners/docker/networks."""
