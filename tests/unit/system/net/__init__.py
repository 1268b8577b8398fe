"""Tests of tmpnb/system/net."""
