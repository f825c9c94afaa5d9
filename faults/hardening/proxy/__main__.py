"""``python -m hardening.proxy``: the proxy as a process."""

import sys

from hardening.proxy.server import main

if __name__ == "__main__":
    sys.exit(main())
