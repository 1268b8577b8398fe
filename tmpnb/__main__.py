"""Run the orchestrator with `python -m tmpnb`."""

from tmpnb.app import main

if __name__ == "__main__":
    main()
