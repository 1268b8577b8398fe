"""Tests of tmpnb/spawners/docker/hardening."""
