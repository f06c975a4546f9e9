"""The logging sample: private and public records."""
