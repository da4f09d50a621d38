"""`python -m analysis.training`."""

import sys

from analysis.training.main import main

sys.exit(main())
