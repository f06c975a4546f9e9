"""Actions of the default constitutions as the command line explains and builds them.

The constitution of the service has the last word; this is a guide to those that are shipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from governance.scripting import LIMIT_RANGES
from ledger.base.errors import FormatError, MisuseError
from ledger.codec import canonical

FILE_SIZE_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Guide:
    """What an action does and takes.

    Attributes:
        summary: What it does.
        required: Arguments that have to be there, each with its meaning.
        optional: Arguments that may be missing.
    """

    summary: str
    required: dict[str, str]
    optional: dict[str, str]


_MEMBER = {"member_id": "ID of the member"}
_USER = {"user_id": "ID of the user"}
_NODE = {"node_id": "ID of the node"}
_FROM = {"valid_from": "first moment of validity, e.g. 20260101000000Z"}
_DAYS = {"validity_period_days": "days of validity (:=), default the service's maximum"}
_CPUID = {"cpuid": "8 hex characters"}

GUIDES: dict[str, Guide] = {
    "set_member": Guide(
        "Admit a member; it becomes active by acknowledging.",
        {"cert": "certificate, PEM"},
        {
            "encryption_pub_key": "RSA public key, PEM, for a recovery share",
            "member_data": "JSON object (:=)",
            "recovery_role": "NonParticipant, Participant or Owner",
        },
    ),
    "remove_member": Guide("Remove a member.", _MEMBER, {}),
    "set_member_data": Guide(
        "Replace a member's data.", {**_MEMBER, "member_data": "JSON object (:=)"}, {}
    ),
    "set_user": Guide(
        "Register a user.", {"cert": "certificate, PEM"}, {"user_data": "JSON object (:=)"}
    ),
    "remove_user": Guide("Remove a user.", _USER, {}),
    "set_user_data": Guide("Replace a user's data.", _USER, {"user_data": "JSON object (:=)"}),
    "set_constitution": Guide(
        "Replace the constitution; drops other open proposals.",
        {"constitution": "source; see: quorate gov constitution"},
        {},
    ),
    "transition_service_to_open": Guide(
        "Open the service, or start its recovery.",
        {"next_service_identity": "certificate of this service, PEM"},
        {"previous_service_identity": "certificate of the service that is recovered, PEM"},
    ),
    "assert_service_identity": Guide(
        "Fail unless this is the service; put it beside other actions.",
        {"service_identity": "certificate of the service, PEM"},
        {},
    ),
    "set_recovery_threshold": Guide(
        "Set how many shares recover the service; makes new shares.",
        {"recovery_threshold": "1 to 254 (:=)"},
        {},
    ),
    "set_service_configuration": Guide(
        "Change the configuration.",
        {},
        {
            "recovery_threshold": "1 to 254 (:=)",
            "recent_cose_proposals_window_size": "1 to 10000 (:=)",
            "reconfiguration_type": "kept for readers that expect it",
        },
    ),
    "trigger_recovery_shares_refresh": Guide("Make new recovery shares.", {}, {}),
    "trigger_ledger_rekey": Guide("Encrypt with a new ledger secret from now on.", {}, {}),
    "trigger_ledger_chunk": Guide("End the ledger chunk with the next signature.", {}, {}),
    "trigger_snapshot": Guide("Make a snapshot.", {}, {}),
    "set_script_limits": Guide(
        "Change the limits of scripts.",
        {},
        {
            name: f"{what}, {LIMIT_RANGES[name][0]} to {LIMIT_RANGES[name][1]} (:=)"
            for name, what in (
                ("steps_max", "loop iterations and calls"),
                ("call_depth_max", "nested calls"),
                ("source_bytes_max", "bytes of source"),
                ("host_calls_max", "calls to the node"),
                ("memory_bytes_max", "bytes of memory"),
                ("cpu_seconds_max", "seconds of processor time"),
                ("wall_ms_max", "milliseconds from start to end"),
            )
        },
    ),
    "transition_node_to_trusted": Guide("Let a pending node take part.", {**_NODE, **_FROM}, _DAYS),
    "remove_node": Guide("Retire a node.", _NODE, {}),
    "set_node_data": Guide("Replace a node's data.", _NODE, {"node_data": "JSON value (:=)"}),
    "set_node_certificate_validity": Guide(
        "Renew a node's certificate.", {**_NODE, **_FROM}, _DAYS
    ),
    "set_all_nodes_certificate_validity": Guide("Renew all nodes' certificates.", _FROM, _DAYS),
    "set_service_certificate_validity": Guide("Renew the service's certificate.", _FROM, _DAYS),
    "add_virtual_measurement": Guide(
        "Let nodes with a virtual measurement join.", {"measurement": "text"}, {}
    ),
    "remove_virtual_measurement": Guide(
        "Let nodes with a virtual measurement join no longer.", {"measurement": "text"}, {}
    ),
    "add_virtual_host_data": Guide(
        "Let nodes with this code and configuration join; the refused node's log has it.",
        {"host_data": "64 hex characters"},
        {},
    ),
    "remove_virtual_host_data": Guide(
        "Let nodes with this code and configuration join no longer.",
        {"host_data": "64 hex characters"},
        {},
    ),
    "add_snp_measurement": Guide(
        "Let nodes with an SNP measurement join.", {"measurement": "96 hex characters"}, {}
    ),
    "remove_snp_measurement": Guide(
        "Let nodes with an SNP measurement join no longer.",
        {"measurement": "96 hex characters"},
        {},
    ),
    "add_snp_host_data": Guide(
        "Let nodes with SNP host data join.",
        {"host_data": "64 hex characters", "security_policy": "policy with that digest, or empty"},
        {},
    ),
    "remove_snp_host_data": Guide(
        "Let nodes with SNP host data join no longer.", {"host_data": "64 hex characters"}, {}
    ),
    "add_snp_uvm_endorsement": Guide(
        "Trust an issuer of utility VMs.",
        {"did": "issuer", "feed": "feed", "svn": "lowest security version"},
        {},
    ),
    "remove_snp_uvm_endorsement": Guide(
        "Trust an issuer of utility VMs no longer.", {"did": "issuer", "feed": "feed"}, {}
    ),
    "set_snp_minimum_tcb_version": Guide(
        "Demand a lowest firmware version of a processor.",
        {**_CPUID, "tcb_version": "object of boot_loader, tee, snp, microcode (:=)"},
        {},
    ),
    "set_snp_minimum_tcb_version_hex": Guide(
        "Demand a lowest firmware version of a processor.",
        {**_CPUID, "tcb_version": "16 hex characters"},
        {},
    ),
    "remove_snp_minimum_tcb_version": Guide(
        "Demand no lowest firmware version of a processor.", _CPUID, {}
    ),
    "set_jwt_issuer": Guide(
        "Register a token issuer.",
        {"issuer": "issuer; an https address with auto_refresh"},
        {
            "auto_refresh": "fetch its keys (:=)",
            "ca_cert_bundle_name": "bundle to reach it with",
            "jwks": "key set (:=)",
        },
    ),
    "set_jwt_public_signing_keys": Guide(
        "Replace an issuer's keys.", {"issuer": "issuer", "jwks": "key set (:=)"}, {}
    ),
    "remove_jwt_issuer": Guide("Remove an issuer and its keys.", {"issuer": "issuer"}, {}),
    "set_ca_cert_bundle": Guide(
        "Give CA certificates a name.", {"name": "name", "cert_bundle": "certificates, PEM"}, {}
    ),
    "remove_ca_cert_bundle": Guide("Remove CA certificates.", {"name": "name"}, {}),
}


def build_action(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return an action from words of the command line.

    Args:
        name: Name of the action; one of the guide's gets its arguments checked by name.
        arguments: ``name=text``, ``name=@file`` (the file's text), ``name:=json`` or
            ``name:=@file`` (the file's JSON).

    Raises:
        MisuseError: a word of another form, an unknown or missing argument.
        FormatError: a file or JSON that cannot be read.
    """
    values = dict(_argument(word) for word in arguments)
    guide = GUIDES.get(name)
    if guide is not None:
        known = guide.required | guide.optional
        for each in values:
            if each not in known:
                raise MisuseError(f"got argument {each!r} for {name}, want {_listed(known)}")
        missing = [each for each in guide.required if each not in values]
        if missing:
            raise MisuseError(f"got no {' and no '.join(missing)} for {name}")
    return {"name": name, "args": values}


def explain(name: str) -> str:
    """Return what an action does and takes, in lines of text.

    Raises:
        MisuseError: no such action.
    """
    guide = GUIDES.get(name)
    if guide is None:
        raise MisuseError(f"got action {name!r}, want one of {', '.join(GUIDES)}")
    lines = [f"{name}: {guide.summary}"]
    lines += [f"  --arg {each}=…  {meaning}" for each, meaning in guide.required.items()]
    lines += [f"  [--arg {each}=…]  {meaning}" for each, meaning in guide.optional.items()]
    return "\n".join(lines)


def explain_all() -> str:
    """Return all actions, a line of text each."""
    return "\n".join(f"{each:<36}{guide.summary}" for each, guide in GUIDES.items())


def _listed(known: dict[str, str]) -> str:
    return ", ".join(known) or "none"


def _argument(word: str) -> tuple[str, Any]:
    name, equals, text = word.partition("=")
    if not equals or not name.rstrip(":"):
        raise MisuseError(f"got argument {word[:80]!r}, want name=text, name=@file or name:=json")
    if text.startswith("@"):
        text = read_text(Path(text[1:]))
    if not name.endswith(":"):
        return name, text
    try:
        return name[:-1], canonical.loads(text.encode())
    except FormatError as error:
        raise FormatError(f"argument {name[:-1]}: {error}") from error


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        FormatError: it cannot be read, is too large or no UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_SIZE_MAX + 1)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > FILE_SIZE_MAX:
        raise FormatError(f"got more than {FILE_SIZE_MAX} bytes in {path}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"got {path}, which is no UTF-8 text") from error
