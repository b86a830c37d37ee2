"""`python -m tally_server`: the command `tally`."""

import sys

from .main import main

sys.exit(main())
