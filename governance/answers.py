"""The shapes of ``/gov`` answers, for its OpenAPI document.

The handlers write these answers; the types here describe them and are never made. A test holds
every answer against its type.
"""

from typing import Any, Literal

import msgspec

from ledger.tables.members import Failure, MemberStatus, ProposalState, RecoveryRole
from ledger.tables.nodes import NodeStatus
from ledger.tables.service import ServiceStatus


class _Shape(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    pass


class Proposal(_Shape):
    """A proposal and where it stands."""

    proposal_id: str
    proposer_id: str
    proposal_state: ProposalState
    ballot_count: int
    final_votes: dict[str, bool] | msgspec.UnsetType = msgspec.UNSET
    vote_failures: dict[str, Failure] | msgspec.UnsetType = msgspec.UNSET
    failure: Failure | msgspec.UnsetType = msgspec.UNSET


class Proposals(_Shape):
    """A list of proposals."""

    value: list[Proposal]


class StateDigest(_Shape):
    """What a member has to sign next: a Merkle root in hex."""

    member_id: str
    state_digest: str


class EncryptedShare(_Shape):
    """A recovery share, encrypted to its member, in base64."""

    member_id: str
    encrypted_share: str


class ShareProgress(_Shape):
    """How many recovery shares there are."""

    message: str
    submitted_count: int
    recovery_threshold: int
    full_key_submitted: bool


class Configuration(_Shape):
    """What a service is configured with."""

    recovery_threshold: int
    maximum_node_certificate_validity_days: int
    maximum_service_certificate_validity_days: int
    recent_cose_proposals_window_size: int


class Service(_Shape):
    """A service."""

    status: ServiceStatus
    certificate: str
    recovery_count: int
    service_data: Any
    configuration: Configuration
    creation_transaction_id: str | msgspec.UnsetType = msgspec.UNSET
    previous_service_creation_transaction_id: str | msgspec.UnsetType = msgspec.UNSET


class Member(_Shape):
    """A member of the consortium."""

    member_id: str
    status: MemberStatus
    member_data: Any
    recovery_role: RecoveryRole
    certificate: str | msgspec.UnsetType = msgspec.UNSET
    public_encryption_key: str | msgspec.UnsetType = msgspec.UNSET


class Members(_Shape):
    """A list of members."""

    value: list[Member]


class User(_Shape):
    """A user."""

    user_id: str
    certificate: str
    user_data: Any


class Users(_Shape):
    """A list of users."""

    value: list[User]


class VirtualDetails(_Shape):
    """What the evidence of a virtual node says."""

    measurement: str | None = None
    report_data: str | None = None
    host_data: str | None = None


class QuoteInfo(_Shape):
    """Evidence of a node's platform."""

    format: str
    raw_quote: str
    details: VirtualDetails | msgspec.UnsetType = msgspec.UNSET
    endorsements: str | msgspec.UnsetType = msgspec.UNSET
    uvm_endorsements: str | msgspec.UnsetType = msgspec.UNSET
    endorsed_tcb: str | msgspec.UnsetType = msgspec.UNSET


class Interface(_Shape):
    """An interface of a node for clients."""

    published_address: str | None
    protocol: str | msgspec.UnsetType = msgspec.UNSET


class Node(_Shape):
    """A node."""

    node_id: str
    status: NodeStatus
    node_data: Any
    retired_committed: bool
    quote_info: QuoteInfo
    rpc_interfaces: dict[str, Interface]
    certificate: str | msgspec.UnsetType = msgspec.UNSET


class Nodes(_Shape):
    """A list of nodes."""

    value: list[Node]


class SgxPolicy(_Shape):
    """Evidence of SGX that is accepted; always none."""

    measurements: list[str]


class VirtualPolicy(_Shape):
    """Evidence of virtual nodes that is accepted."""

    measurements: list[str]
    host_data: list[str]


class SnpPolicy(_Shape):
    """Evidence of SEV-SNP that is accepted."""

    measurements: list[str]
    host_data: dict[str, str]
    uvm_endorsements: dict[str, Any]
    tcb_versions: dict[str, Any]


class JoinPolicy(_Shape):
    """What the evidence of a joining node may say."""

    sgx: SgxPolicy
    virtual: VirtualPolicy
    snp: SnpPolicy


class TokenIssuer(_Shape):
    """A token issuer."""

    auto_refresh: bool
    ca_cert_bundle_name: str | msgspec.UnsetType = msgspec.UNSET


class TokenKey(_Shape):
    """A key that verifies tokens."""

    public_key: str
    issuer: str
    constraint: str | None


class Tokens(_Shape):
    """Token issuers, their keys by key ID, and CA bundles by name."""

    issuers: dict[str, TokenIssuer]
    keys: dict[str, list[TokenKey]]
    ca_cert_bundles: dict[str, str]


class JavascriptApp(_Shape):
    """JavaScript endpoints by path and verb."""

    endpoints: dict[str, dict[str, dict[str, Any]]]


class JavascriptModule(_Shape):
    """The path of a JavaScript module."""

    module_name: str


class JavascriptModules(_Shape):
    """A list of JavaScript modules."""

    value: list[JavascriptModule]


class Transaction(_Shape):
    """The status of a transaction."""

    status: Literal["Unknown", "Pending", "Committed", "Invalid"]
    transaction_id: str
