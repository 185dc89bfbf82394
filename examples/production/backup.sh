#!/bin/sh
# Write a backup of Dagster's database, the service `database`, into a file that only you can read:
#   backup.sh /var/backups/dagster.dump
# The last one is replaced only by one that is complete.
set -eu

umask 077
docker compose exec -T database sh -c 'pg_dump -U "$POSTGRES_USER" -Fc "$POSTGRES_DB"' >"$1.new"
mv "$1.new" "$1"
