"""Run by the interpreter of CCF's public package: what its full reader says of ledgers.

Arguments are ledger directories; prints one JSON object, directory to null (accepted) or the
refusal. Each ledger is read in a forked process, because version 6 keeps state in classes.
"""

import importlib
import json
import os
import sys
from typing import Any


def verdict(package: Any, directory: str) -> str | None:  # noqa: ANN401 - a module without types
    level = getattr(package, "VerificationLevel", None)
    options = {} if level is None else {"verification_level": level.FULL}
    try:
        validator = package.LedgerValidator(accept_deprecated_entry_types=False, **options)
        for chunk in package.Ledger([directory], committed_only=False, **options):
            for transaction in chunk:
                validator.add_transaction(transaction)
    except Exception as error:  # noqa: BLE001 - whatever it says, it refuses
        return f"{type(error).__name__}: {error}"[:300]
    return None


def in_child(package: Any, directory: str) -> object:  # noqa: ANN401 - a module without types
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, json.dumps(verdict(package, directory)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said)


if __name__ == "__main__":
    ledger = importlib.import_module("ccf.ledger")
    print(json.dumps({path: in_child(ledger, path) for path in sys.argv[1:]}))  # noqa: T201
