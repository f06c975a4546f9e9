"""Replay: every decision of a consortium, made again from the ledger alone.

``replay.Replay`` takes the entries of a ledger in order and says where the first one is that
correct nodes cannot have written:

* an entry with a member's signed message is *re-enacted*: the message goes through the same
  checks and handlers as on the primary, with the constitution and the tables of that time, and
  what it writes has to be what the entry holds, byte for byte;
* any other entry that touches tables of governance has to be one of the few *unsigned* kinds
  (genesis, a node that asks to join, the end of a retirement, refreshed token keys);
* what only a node's keys can make (shares, certificates, endorsements) is checked for what can
  be seen without a key: form, sizes, names, signatures of the service.

Two things are taken on the primary's word, and counted: that a script failed for memory or time,
and which of the last two signatures an entry had seen that was executed while the newer one was
being made. No secret is needed; nothing here reads a file or a clock.

``offline`` tries proposals, constitutions and ballots without any ledger.

Invariants: the rebuilt state after entry s holds the public tables of governance and framework as
they stand at s, as recorded. Tests: ``tests/unit/governance/test_replay*.py``.
"""
