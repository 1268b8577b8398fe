"""The tests of tmpnb."""
