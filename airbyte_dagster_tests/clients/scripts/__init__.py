"""Programs that run in the clients' own environments, each by its path."""
