# Where the database is and how its programs are started, for deploy/backup and deploy/restore, which read this in.
#
# With DATABASE_URL (or DATABASE_URL_FILE) it is that one, by the programs of this machine; else the one of compose.yaml, by
# the programs in its container. `client PROGRAM ARGUMENTS` runs psql, pg_dump or pg_restore there; `database` is an array
# with what tells them which database.

# shellcheck shell=bash disable=SC2034,SC2154  # what is set here is used where it is read in, and `here` is set there

compose() { docker compose --file "$here/compose.yaml" "$@"; }

if [[ -z ${DATABASE_URL-} && -n ${DATABASE_URL_FILE-} ]]; then
    DATABASE_URL=$(<"$DATABASE_URL_FILE")
fi

if [[ -n ${DATABASE_URL-} ]]; then
    where=url
    # The password goes through the environment: on a command line everyone on the machine could read it.
    if [[ $DATABASE_URL =~ ^(postgres(ql)?://[^:/@]*):([^@/]*)@(.*)$ ]]; then
        encoded=${BASH_REMATCH[3]}
        printf -v PGPASSWORD '%b' "${encoded//%/\\x}"
        export PGPASSWORD
        DATABASE_URL=${BASH_REMATCH[1]}@${BASH_REMATCH[4]}
    fi
    database=(--dbname="$DATABASE_URL")
    # The newest there are: pg_dump refuses servers that are newer than itself.
    newest=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort --version-sort | tail -n 1)
    PATH=${POSTGRES_BIN_DIR:+$POSTGRES_BIN_DIR:}${newest:+$newest:}$PATH
    client() { "$@"; }
    if ! command -v pg_dump >/dev/null || ! command -v psql >/dev/null; then
        echo "there is no pg_dump or psql here; install them (on Debian: apt-get install postgresql-client)" >&2
        exit 1
    fi
else
    where=compose
    database=(--username=postgres --dbname=thermal_watch)
    client() { compose exec -T postgres "$@"; }
    if ! command -v docker >/dev/null; then
        echo "there is no docker here; for a database elsewhere set DATABASE_URL or DATABASE_URL_FILE" >&2
        exit 1
    fi
fi
