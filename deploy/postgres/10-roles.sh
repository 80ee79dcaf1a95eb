#!/bin/sh
# Makes the database, its owner and Grafana's login, each with the password from its file; as often as wanted.
#
# compose.yaml has it run when the database is made. Run it again to change passwords, or on a server of your own:
#
#   docker compose exec postgres sh /docker-entrypoint-initdb.d/10-roles.sh
#   SECRETS_DIR=/etc/thermal-watch/secrets PGUSER=postgres deploy/postgres/10-roles.sh
#
# Neither is a superuser: the service owns its database and nothing else, Grafana's login may read what migration 10 opens.

set -eu

export SECRETS_DIR="${SECRETS_DIR-/run/secrets}"
for secret in database_password grafana_database_password; do
    if [ ! -s "$SECRETS_DIR/$secret" ]; then
        echo "there is no $SECRETS_DIR/$secret; deploy/make-secrets makes it" >&2
        exit 1
    fi
done

# psql reads the files itself: on a command line passwords would show in the list of processes.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 ${POSTGRES_USER:+--username="$POSTGRES_USER"} --dbname postgres <<'SQL'
SET client_min_messages = warning;
\set owner_password `cat "$SECRETS_DIR/database_password"`
\set reader_password `cat "$SECRETS_DIR/grafana_database_password"`
SELECT format('CREATE ROLE %I', name)
  FROM unnest(ARRAY['thermal_watch', 'thermal_watch_grafana', 'thermal_watch_grafana_login']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE thermal_watch LOGIN PASSWORD :'owner_password';
ALTER ROLE thermal_watch_grafana_login LOGIN PASSWORD :'reader_password' CONNECTION LIMIT 10;
GRANT thermal_watch_grafana TO thermal_watch_grafana_login;
-- A panel that asks for too much is ended before it is in anybody's way.
ALTER ROLE thermal_watch_grafana_login SET statement_timeout = '30s';
ALTER ROLE thermal_watch_grafana_login SET default_transaction_read_only = on;
SELECT 'CREATE DATABASE thermal_watch OWNER thermal_watch'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'thermal_watch') \gexec
REVOKE ALL ON DATABASE thermal_watch FROM PUBLIC;
GRANT CONNECT ON DATABASE thermal_watch TO thermal_watch_grafana;
SQL
