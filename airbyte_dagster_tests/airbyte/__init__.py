"""Tests of the client, against a real HTTP server on this machine."""
