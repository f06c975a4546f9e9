"""Sample applications, run as tests."""
