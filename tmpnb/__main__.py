"""Run the orchestrator with `python -m tmpnb`."""

from tmpnb.commands.main import main

if __name__ == "__main__":
    main()
