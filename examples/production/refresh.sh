#!/bin/sh
# Read the workspaces of these definitions again, and have the code servers load what was read:
#   refresh.sh definitions/shop.py
# One file for each workspace of Airbyte: what is read is all of it, for the definitions of other files, too.
# With DAGSTER_WEBSERVER_URL, all code locations are reloaded afterwards; runs that are on their way are not disturbed.
# It ends with 1 if one of them does not load.
set -eu

for file in "$@"; do
    airbyte-dagster refresh -f "$file"
done
if [ -n "${DAGSTER_WEBSERVER_URL:-}" ]; then
    loaded=$(dagster-graphql -r "$DAGSTER_WEBSERVER_URL" -t 'mutation { reloadWorkspace { __typename ... on Workspace {
        locationEntries { name locationOrLoadError { __typename ... on PythonError { message } } } } } }')
    echo "$loaded"
    case $loaded in *PythonError*) exit 1 ;; esac
fi
