"""Import an application and end: ``python -I … ledger.launch.check_app MODULE:ATTRIBUTE``.

Exit code 0: it is one. 1: it is none, with the reason in the last line of standard error.
"""

import sys

from ledger.base.errors import MisuseError
from ledger.launch.apps import load_app


def main() -> int:
    """Run the process."""
    try:
        load_app(sys.argv[1])
    except MisuseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
