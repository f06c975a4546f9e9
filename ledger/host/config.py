"""The node's configuration, read and checked as a whole.

One JSON object with the keys of CCF's node configuration, and ours beside them: ``app``,
``platform``, ``ledger.sync``, ``ledger_signatures.min_interval``, ``consensus.pre_vote``.
``config_sections`` describes the sections; here are the rules between their keys.
"""

from ledger.boundary.settings import InterfaceSettings
from ledger.host.config_sections import CONFIGURATION, Configuration
from ledger.host.schema import Invalid, Problem, Problems, show


def read_configuration(value: object) -> Configuration | Problems:
    """Check a parsed JSON value.

    Returns:
        The configuration, or every problem found, in the order of the schema.
    """
    problems: Problems = []
    configuration = CONFIGURATION(value, "", problems)
    if isinstance(configuration, Invalid):
        assert problems, "what is invalid has a problem"
        return problems
    problems = _rules_between_keys(configuration, value)
    return problems or configuration


def _rules_between_keys(configuration: Configuration, value: object) -> Problems:
    problems = [
        *_command_rules(configuration),
        *_interface_rules(configuration),
        *_time_rules(configuration, value),
    ]
    ledger = configuration.ledger
    problems.extend(
        Problem(
            f"ledger.read_only_directories[{i}]", show(path), "another directory than the main one"
        )
        for i, path in enumerate(ledger.read_only_directories)
        if path == ledger.directory
    )
    return problems


def _time_rules(configuration: Configuration, value: object) -> Problems:
    signatures, consensus = configuration.ledger_signatures, configuration.consensus
    problems: Problems = []

    def written(section: str, key: str, milliseconds: float) -> str:
        """Return a time as the file has it, so that it is found there."""
        given = value.get(section) if isinstance(value, dict) else None
        text = given.get(key) if isinstance(given, dict) else None
        return f"{milliseconds:g}ms by default" if text is None else show(text)

    if signatures.min_interval_ms > signatures.delay_ms:
        delay = written("ledger_signatures", "delay", signatures.delay_ms)
        got = written("ledger_signatures", "min_interval", signatures.min_interval_ms)
        want = f"at most ledger_signatures.delay, {delay}"
        problems.append(Problem("ledger_signatures.min_interval", got, want))
    if consensus.election_timeout_ms <= consensus.message_timeout_ms:
        least = written("consensus", "message_timeout", consensus.message_timeout_ms)
        got = written("consensus", "election_timeout", consensus.election_timeout_ms)
        want = f"more than consensus.message_timeout, {least}"
        problems.append(Problem("consensus.election_timeout", got, want))
    return problems


def _command_rules(configuration: Configuration) -> Problems:
    command = configuration.command
    key = {"Start": "start", "Join": "join", "Recover": "recover"}[command.type]
    problems: Problems = []
    if command.type == "Recover":
        want = '"Start" or "Join": recovery of a service is not built yet'
        problems.append(Problem("command.type", show(command.type), want))
    if getattr(command, key) is None:
        want = f"a section: command.type is {command.type}"
        problems.append(Problem(f"command.{key}", "nothing", want))
    if command.start is not None:
        for i, member in enumerate(command.start.members):
            if member.takes_part_in_recovery and member.encryption_public_key_file is None:
                want = f"a file: the role {member.recovery_role} receives an encrypted share"
                path = f"command.start.members[{i}].encryption_public_key_file"
                problems.append(Problem(path, "nothing", want))
    return problems


def _interface_rules(configuration: Configuration) -> Problems:
    network = configuration.network
    problems: Problems = []
    taken = {network.node_to_node.bind_address: "network.node_to_node_interface"}
    for name, interface in network.interfaces.items():
        path = f"network.rpc_interfaces.{name}"
        problems.extend(_session_rules(interface, path))
        address = interface.bind_address
        if address.endswith(":0"):
            continue
        if address in taken:
            want = f"another address: {taken[address]} has it"
            problems.append(Problem(f"{path}.bind_address", show(address), want))
        taken[address] = path
    return problems


def _session_rules(interface: InterfaceSettings, path: str) -> Problems:
    soft, hard = interface.max_open_sessions_soft, interface.max_open_sessions_hard
    if soft <= hard:
        return []
    want = f"at least max_open_sessions_soft, {soft}"
    return [Problem(f"{path}.max_open_sessions_hard", str(hard), want)]
