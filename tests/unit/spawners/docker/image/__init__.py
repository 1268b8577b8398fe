"""Tests of tmpnb/spawners/docker/image."""
