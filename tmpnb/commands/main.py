"""The command `tmpnb`: serve, or do what another of its commands says."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from traitlets import TraitError

from tmpnb.commands import command_line
from tmpnb.errors import TmpnbError
from tmpnb.settings import flags
from tmpnb.settings.application import Tmpnb
from tmpnb.system import leaving


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program; what the operator can fix is one line, with exit code 1."""
    with leaving.left_in_time(is_program=argv is None):
        _run(list(sys.argv[1:] if argv is None else argv))


def _run(words: list[str]) -> None:
    application = Tmpnb()
    try:
        if chosen := command_line.tool(words):
            sys.exit(command_line.use(chosen, words[1:]))
        order = command_line.parse(words)
        application.description = command_line.description(order, application.description)
        application.initialize(order.flags)
        if order.command is None:
            application.start()
            if application.service is not None:
                from tmpnb.commands.serve import serve  # which no other command needs

                leaving.run(serve(application.service))
        else:
            if "logging" not in application.config.Tmpnb:
                application.logging = "none"  # its own lines say it all
            application.configure_logs()
            sys.exit(command_line.perform(order, application))
    except TraitError as error:
        sys.exit(f"tmpnb: {flags.in_words(str(error))}")
    except TmpnbError as error:
        sys.exit(f"tmpnb: {error}")
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit(0)  # a signal ended it before it was up
