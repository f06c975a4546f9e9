"""Requests in, responses out: routing, authentication, order of checks, error bodies, OpenAPI.

A ``Registry`` holds the endpoints of one frontend, a ``Pipeline`` answers requests from them on a
``TransactionLog``. Everything is a function of requests, the log and the time they carry; answers
that come later go through ``request.session``. Test it with ``ledger.testing.app_client``, which
is this pipeline on a store without a ledger.
"""
