"""Lets the notebook server find `tmpnb_cookies`, which lies beside this file."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
