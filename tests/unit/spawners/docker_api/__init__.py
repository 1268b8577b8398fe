"""Tests of tmpnb/spawners/docker_api."""
