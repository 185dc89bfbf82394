"""The promises of runs, "exactly one sync" and "green means verified", as a user meets them.

Runs are launched, re-executed and terminated through GraphQL and are processes of a real code server; Airbyte is met
over HTTP. Of the package only its public names are used, so that these tests outlast every change of its inside.
"""
