"""What an open proposal would change, for the eyes of those who vote on it.

Each action of the shipped constitutions is held against the state that the service has now. The
constitution of the service has the last word, and may give actions of its own, of which nothing is
known here.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger.base.errors import FormatError
from ledger.cli.gov_text import short
from ledger.client.governance import Governance
from ledger.crypto.certificate import Certificate

NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentState:
    """What a service has now, as ``/gov`` describes it; people and nodes by ID."""

    service: Mapping[str, Any] = field(default_factory=dict)
    constitution: str = ""
    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    users: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    join_policy: Mapping[str, Any] = field(default_factory=dict)
    tokens: Mapping[str, Any] = field(default_factory=dict)


async def current_state(governance: Governance) -> CurrentState:
    """Ask for everything that actions change."""
    return CurrentState(
        service=await governance.service(),
        constitution=await governance.constitution(),
        members={each["memberId"]: each for each in await governance.members()},
        users={each["userId"]: each for each in await governance.users()},
        nodes={each["nodeId"]: each for each in await governance.nodes()},
        join_policy=await governance.join_policy(),
        tokens=await governance.token_issuers(),
    )


def change_lines(proposed: object, state: CurrentState) -> Iterator[str]:
    """Describe what a proposal would change, action by action; nothing for unknown ones."""
    actions = proposed.get("actions") if isinstance(proposed, Mapping) else None
    lines = []
    for action in actions if isinstance(actions, list) else []:
        name, args = _parts(action)
        describe = _DESCRIBE.get(name)
        if describe is not None:
            lines += list(describe(args, state))
    if lines:
        yield "  changes"
        yield from (f"    {line}" for line in lines)


def _parts(action: object) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(action, Mapping):
        return "", {}
    args = action.get("args")
    return str(action.get("name")), args if isinstance(args, Mapping) else {}


def _change(what: str, before: object, after: object) -> str:
    shown = (NOTHING if each is None else short(each) for each in (before, after))
    return f"{what}: {' → '.join(shown)}"


def _id_of(args: Mapping[str, Any]) -> str:
    try:
        return Certificate.parse(str(args.get("cert"))).id
    except FormatError:
        return "(no certificate)"


def _constitution(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    yield "constitution"
    before, after = state.constitution.splitlines(), str(args.get("constitution")).splitlines()
    diff = difflib.unified_diff(before, after, "current", "proposed", lineterm="", n=1)
    yield from (f"  {line}" for line in diff)


def _set_member(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    member_id = _id_of(args)
    role = args.get("recovery_role") or (
        "Participant" if args.get("encryption_pub_key") else "NonParticipant"
    )
    known = state.members.get(member_id)
    before = None if known is None else f"{known['status']} {known['recoveryRole']}"
    yield _change(f"member {member_id}", before, f"Accepted {role}")
    old = None if known is None else known.get("memberData")
    if old != args.get("member_data"):
        yield _change("  its data", old, args.get("member_data"))


def _remove_member(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    known = state.members.get(str(args.get("member_id")))
    before = None if known is None else f"{known['status']} {known['recoveryRole']}"
    yield _change(f"member {args.get('member_id')}", before, None)
    if known is not None and known["status"] == "Active" and before != "Active NonParticipant":
        yield "  with a new ledger secret"


def _member_data(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    known = state.members.get(str(args.get("member_id")), {})
    what = f"data of member {args.get('member_id')}"
    yield _change(what, known.get("memberData"), args.get("member_data"))


def _set_user(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    user_id = _id_of(args)
    known = state.users.get(user_id)
    yield _change(f"user {user_id}", None if known is None else "known", "known")
    old = None if known is None else known.get("userData")
    if old != args.get("user_data"):
        yield _change("  its data", old, args.get("user_data"))


def _remove_user(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    known = str(args.get("user_id")) in state.users
    yield _change(f"user {args.get('user_id')}", "known" if known else None, None)


def _user_data(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    known = state.users.get(str(args.get("user_id")), {})
    yield _change(
        f"data of user {args.get('user_id')}", known.get("userData"), args.get("user_data")
    )


def _node_status(after: str) -> "Describe":
    def describe(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
        known = state.nodes.get(str(args.get("node_id")), {})
        yield _change(f"node {args.get('node_id')}", known.get("status"), after)

    return describe


def _node_data(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    known = state.nodes.get(str(args.get("node_id")), {})
    yield _change(
        f"data of node {args.get('node_id')}", known.get("nodeData"), args.get("node_data")
    )


def _certificates(of_what: str) -> "Describe":
    def describe(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
        del state
        which = of_what.format(args.get("node_id"))
        days = args.get("validity_period_days")
        longest = "the longest time allowed" if days is None else f"{days} days"
        yield f"{which} valid from {args.get('valid_from')} for {longest}"

    return describe


def _threshold(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    configuration = state.service.get("configuration", {})
    for name, shown in (
        ("recovery_threshold", "recoveryThreshold"),
        ("recent_cose_proposals_window_size", "recentCoseProposalsWindowSize"),
    ):
        if args.get(name) is not None:
            yield _change(name.replace("_", " "), configuration.get(shown), args[name])


def _open(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    del args
    yield _change("service", state.service.get("status"), "Open")


def _policy(platform: str, group: str, argument: str, *, add: bool) -> "Describe":
    def describe(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
        value = args.get(argument)
        known = str(value) in state.join_policy.get(platform, {}).get(group, ())
        allowed = "may join", "may not join"
        before, after = allowed[not known], allowed[not add]
        yield _change(f"{platform} {argument.replace('_', ' ')} {short(value)}", before, after)

    return describe


def _issuer(after: str | None) -> "Describe":
    def describe(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
        known = str(args.get("issuer")) in state.tokens.get("issuers", {})
        yield _change(f"issuer {short(args.get('issuer'))}", "known" if known else None, after)

    return describe


def _keys(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    issuer, jwks = args.get("issuer"), args.get("jwks")
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    after = [key.get("kid") for key in keys or [] if isinstance(key, Mapping)]
    before = [
        kid
        for kid, rows in state.tokens.get("keys", {}).items()
        if any(row.get("issuer") == issuer for row in rows)
    ]
    yield _change(f"keys of issuer {short(issuer)}", before, after)


def _set_issuer(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
    yield from _issuer("known")(args, state)
    if args.get("jwks") is not None:
        yield from _keys(args, state)


def _bundle(after: str | None) -> "Describe":
    def describe(args: Mapping[str, Any], state: CurrentState) -> Iterator[str]:
        known = str(args.get("name")) in state.tokens.get("caCertBundles", {})
        yield _change(f"CA bundle {short(args.get('name'))}", "known" if known else None, after)

    return describe


Describe = Callable[[Mapping[str, Any], CurrentState], Iterator[str]]

_DESCRIBE: dict[str, Describe] = {
    "set_constitution": _constitution,
    "set_member": _set_member,
    "remove_member": _remove_member,
    "set_member_data": _member_data,
    "set_user": _set_user,
    "remove_user": _remove_user,
    "set_user_data": _user_data,
    "transition_service_to_open": _open,
    "set_recovery_threshold": _threshold,
    "set_service_configuration": _threshold,
    "transition_node_to_trusted": _node_status("Trusted"),
    "remove_node": _node_status("Retired"),
    "set_node_data": _node_data,
    "set_node_certificate_validity": _certificates("certificate of node {}"),
    "set_all_nodes_certificate_validity": _certificates("certificates of all nodes"),
    "set_service_certificate_validity": _certificates("certificate of the service"),
    "add_virtual_measurement": _policy("virtual", "measurements", "measurement", add=True),
    "remove_virtual_measurement": _policy("virtual", "measurements", "measurement", add=False),
    "add_virtual_host_data": _policy("virtual", "hostData", "host_data", add=True),
    "remove_virtual_host_data": _policy("virtual", "hostData", "host_data", add=False),
    "add_snp_measurement": _policy("snp", "measurements", "measurement", add=True),
    "remove_snp_measurement": _policy("snp", "measurements", "measurement", add=False),
    "add_snp_host_data": _policy("snp", "hostData", "host_data", add=True),
    "remove_snp_host_data": _policy("snp", "hostData", "host_data", add=False),
    "set_jwt_issuer": _set_issuer,
    "set_jwt_public_signing_keys": _keys,
    "remove_jwt_issuer": _issuer(None),
    "set_ca_cert_bundle": _bundle("set"),
    "remove_ca_cert_bundle": _bundle(None),
}
