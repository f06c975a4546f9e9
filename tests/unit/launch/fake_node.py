"""``quorate node`` with the fake enclave: the real host process and a stand-in below it."""

import functools
import sys

from ledger.launch import node_process
from ledger.launch.arguments import parse_arguments
from ledger.launch.node_process_command import enclave_command

node_process.enclave_command = functools.partial(enclave_command, module="fake_enclave")  # type: ignore[attr-defined]  # the module under test reads this name

if __name__ == "__main__":
    sys.exit(node_process.run_node(parse_arguments(sys.argv[1:])))
