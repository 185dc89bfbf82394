"""The command ``airbyte-dagster``: a module for each of its commands, and what several of them use.

`terminal` prints, `environment` finds the Airbyte to work with, `local_server` starts local Airbyte, and
`code_location` loads definitions.
"""
