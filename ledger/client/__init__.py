"""Python SDK for users and members of a service."""
