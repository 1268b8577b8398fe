"""Tests of tmpnb/spawners/docker."""
