"""`python3 -m vitpose_ros.cli`, for where the executable is not on the path."""

import sys

from vitpose_ros.cli.main import main

sys.exit(main())
