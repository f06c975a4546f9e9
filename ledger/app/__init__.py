"""What application authors import."""
