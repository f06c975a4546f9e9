"""Import an application and end: ``python -I … ledger.launch.check_app MODULE:ATTRIBUTE``.

Exit code 0: it is one. 1: it is none, with the reason in the last line of standard error.
"""

import os
import sys

from ledger.base.errors import MisuseError
from ledger.launch.apps import load_app


def main() -> None:
    """Run the process; it ends at once, whatever the application has started."""
    code = 0
    try:
        load_app(sys.argv[1])
    except MisuseError as error:
        reason = " ".join(str(error).splitlines())
        sys.stderr.write(f"{reason}\n")
        code = 1
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
