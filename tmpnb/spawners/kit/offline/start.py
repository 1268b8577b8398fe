"""Begins each kernel where servers have no internet. Python runs it as PYTHONSTARTUP.

It runs among the user's own names, and leaves none behind. Whatever fails, the kernel goes on.
"""

try:  # noqa: SIM105 - `suppress` would be one of the user's names
    __import__("runpy").run_path(
        __import__("os").environ["PYTHONSTARTUP"].replace("start.py", "tmpnb_offline.py")
    )["watch"]()
except Exception:  # noqa: BLE001, S110 - a kernel without a word is better than none
    pass
