"""Secrets are planted in every field that there is, and looked for in everything that is written or shown."""
