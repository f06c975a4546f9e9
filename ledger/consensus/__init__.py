"""Agreement on the ledger: the signature-commit variant of Raft as a pure state machine.

What lives here: the protocol, from single entries to elections and retirement. No socket, clock,
file or random number: time comes in as ticks, chance as an injected ``jitter``, messages as
immutable values; messages and effects go out through :meth:`~ledger.consensus.raft.Raft.ready`.

What every module keeps:

- only signature entries commit, and everything before a signature commits with it;
- a primary counts its own view's signatures only, in every active configuration;
- a backup commits nothing that an AppendEntries has not verified;
- a broken ``assert`` is fatal for the node: it never goes on half-updated.

Modules, lowest first: ``types`` and ``messages`` (values), ``ready`` (what goes out), ``log``,
``view_history``, ``committable`` (which entries are signatures), ``quorum``, ``progress`` (peers),
``tx_status``, ``configurations``, ``retirement`` (phases), ``state`` (all of it together); then the
rules: ``roles`` (view, role, roll-back), ``appending`` (what an entry does when it is appended),
``commitment``, ``sending``, ``replication`` (the primary), ``backup``, ``elections``; and ``raft``,
the node that the rest of the project sees.

How to test: ``tests/unit/consensus`` for the parts and the rules, ``tests/scenarios`` for whole
stories in the scenario language, ``scripts/simulate`` for clusters under faults,
``tests/mutations`` for whether these tests would notice a mistake.
"""
