"""Requests in, responses out: routing, authentication, the order of checks, error bodies, OpenAPI."""
