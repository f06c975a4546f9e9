"""The logging sample: private and public records. ``app_samples.logging.app:app`` is the App."""
