"""`python -m launchpad.pretend …`: the same as `launchpad pretend …`."""

from __future__ import annotations

import sys

from launchpad.pretend import main

sys.exit(main(sys.argv[1:]))
