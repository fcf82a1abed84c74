"""``python -m kops`` is the ``kops`` command."""

import sys

from kops.cli import main

sys.exit(main())
