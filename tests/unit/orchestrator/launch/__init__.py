"""Tests of tmpnb/orchestrator/launch."""
