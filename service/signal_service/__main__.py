"""``python -m signal_service``: serve, or check a configuration with ``preflight``.

Nothing heavy is imported before the signal handlers stand: a SIGTERM during the second that imports take must end
the process as cleanly as a later one.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

USAGE = """usage: python -m signal_service [--config FILE] [--host HOST] [--port PORT]
       python -m signal_service preflight [--config FILE] [--json]
"""


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit code: 0 ended as asked, 1 failed, 2 cannot be used like this."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from signal_service import command  # noqa: PLC0415 - see above

    return command.run(argv, USAGE)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
