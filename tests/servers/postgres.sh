#!/usr/bin/env bash
# postgres.sh start DIR PORT | stop DIR
#
# A PostgreSQL instance of its own below DIR: TLS 1.3 only, SCRAM only, every statement logged, loopback only. It never
# touches a cluster that exists already. The server refuses to run as root, so root runs it as the system user `postgres`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
action=${1:?usage: postgres.sh start DIR PORT | stop DIR}
dir=${2:?usage: postgres.sh start DIR PORT | stop DIR}
bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin -type d 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || { echo "postgres.sh: no PostgreSQL server binaries below /usr/lib/postgresql" >&2; exit 1; }

# From a folder that the server's user may enter, whatever the caller stands in.
as_server() { (cd / && if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi); }

if [ "$action" = stop ]; then
  as_server "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
  exit 0
fi

port=${3:?usage: postgres.sh start DIR PORT}
mkdir -p "$dir"
bash "$here/certs.sh" "$dir/tls"
printf 'admin-password\n' >"$dir/password"
if [ "$(id -u)" = 0 ]; then chown -R postgres "$dir"; fi
as_server "$bin/initdb" -D "$dir/data" -U admin --pwfile="$dir/password" --auth=scram-sha-256 \
  --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
# fsync off: this instance is thrown away after the run, and nothing here tests PostgreSQL's own durability.
as_server tee -a "$dir/data/postgresql.conf" >/dev/null <<EOF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$dir'
max_connections = 200
ssl = on
ssl_cert_file = '$dir/tls/server.crt'
ssl_key_file = '$dir/tls/server.key'
ssl_min_protocol_version = 'TLSv1.3'
password_encryption = 'scram-sha-256'
logging_collector = on
log_destination = 'stderr,csvlog'
log_directory = '$dir'
log_filename = 'collected.log'
log_file_mode = 0644
log_timezone = 'UTC'
log_truncate_on_rotation = off
log_rotation_age = 0
log_rotation_size = 0
log_statement = 'all'
log_connections = on
log_line_prefix = '%m [%p] %u@%d app=%a '
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
max_wal_size = '8GB'
shared_buffers = '128MB'
EOF
as_server tee "$dir/data/pg_hba.conf" >/dev/null <<'EOF'
hostssl   all all 127.0.0.1/32 scram-sha-256
hostnossl all all all          reject
local     all all              scram-sha-256
EOF
as_server "$bin/pg_ctl" -D "$dir/data" -l "$dir/server.log" -w -t 60 start >/dev/null || { cat "$dir/server.log" >&2; exit 1; }
# The log is read by tests that prove that nothing was read from the source.
chmod a+rx "$dir"; chmod a+r "$dir/collected.log" "$dir/collected.csv" "$dir/tls/ca.crt"; chmod a+rx "$dir/tls"

PGPASSWORD=admin-password PGSSLROOTCERT="$dir/tls/ca.crt" PGSSLMODE=verify-full \
  "$bin/psql" -qX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U admin -d postgres -f "$here/postgres.sql" >/dev/null
