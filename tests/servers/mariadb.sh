#!/usr/bin/env bash
# mariadb.sh DIR PORT
#
# A MariaDB server of its own below DIR, loopback only, until it is killed: TLS (DIR/tls/ca.crt), every statement logged
# (DIR/statements.log), an administrator by DIR/sock (`mariadb --no-defaults -uroot --socket=DIR/sock`). The database `shop` is
# there to be read by three accounts: `reader` (TLS only), `plain` and `odd`, which signs in as the broker does not.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: mariadb.sh DIR PORT}
port=${2:?usage: mariadb.sh DIR PORT}
PATH=$PATH:/usr/sbin:/usr/local/sbin
command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null || {
  echo "mariadb.sh: MariaDB is missing: apt-get install mariadb-server-core mariadb-client-core" >&2
  exit 1
}

# Its temporary files too: several that start at once would take each other's.
mkdir -p "$dir/tmp"
bash "$here/certs.sh" "$dir/tls"
user=$(id -un)
mariadb-install-db --no-defaults --user="$user" --datadir="$dir/data" --skip-test-db --auth-root-authentication-method=normal \
  --innodb-use-native-aio=0 --tmpdir="$dir/tmp" \
  >"$dir/install.log" 2>&1 </dev/null || { cat "$dir/install.log" >&2; exit 1; }
cat >"$dir/accounts.sql" <<'SQL'
CREATE DATABASE shop;
CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'reader-password' REQUIRE SSL;
GRANT SELECT, SHOW VIEW ON shop.* TO reader@'127.0.0.1';
CREATE USER plain@'127.0.0.1' IDENTIFIED BY 'reader-password';
GRANT SELECT, SHOW VIEW ON shop.* TO plain@'127.0.0.1';
CREATE USER odd@'127.0.0.1' IDENTIFIED VIA unix_socket;
SQL
# What is flushed when is not tested here; the instance is thrown away.
exec mariadbd --no-defaults --user="$user" --datadir="$dir/data" --bind-address=127.0.0.1 --port="$port" --socket="$dir/sock" \
  --pid-file="$dir/pid" --init-file="$dir/accounts.sql" --general-log=1 --general-log-file="$dir/statements.log" --log-output=FILE \
  --ssl-cert="$dir/tls/server.crt" --ssl-key="$dir/tls/server.key" --character-set-server=utf8mb4 \
  --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=16M --innodb-log-file-size=8M --innodb-use-native-aio=0
