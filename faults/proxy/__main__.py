"""``python -m faults.proxy``: the proxy as a process."""

import sys

from faults.proxy.server import main

if __name__ == "__main__":
    sys.exit(main())
