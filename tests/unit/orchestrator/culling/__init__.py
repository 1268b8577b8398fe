"""Tests of tmpnb/orchestrator/culling."""
