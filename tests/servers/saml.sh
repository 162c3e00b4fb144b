#!/usr/bin/env bash
# saml.sh DIR PORT
#
# A SAML identity provider of its own below DIR (SimpleSAMLphp, where CHUNK_TEST_SIMPLESAMLPHP says), on loopback and PHP's own web server,
# until it is killed. Its certificate is DIR/idp.crt, its entity id http://127.0.0.1:PORT/idp. It signs people in for the service provider
# whose metadata somebody puts into DIR/sp.xml. Its people are those of saml/authsources.php.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: saml.sh DIR PORT}
port=${2:?usage: saml.sh DIR PORT}
code=${CHUNK_TEST_SIMPLESAMLPHP:?is not set: start the tests with tests/run}/usr/share/simplesamlphp
command -v php >/dev/null || { echo "saml.sh: PHP is missing: apt-get install php-cli php-xml php-mbstring php-curl php-sqlite3" >&2; exit 1; }

mkdir -p "$dir"/{log,data,tmp,sessions}
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=idp.test -keyout "$dir/idp.key" -out "$dir/idp.crt.new" 2>/dev/null
mv "$dir/idp.crt.new" "$dir/idp.crt"
export SIMPLESAMLPHP_CONFIG_DIR=$here/saml CHUNK_TEST_SAML_DIR=$dir CHUNK_TEST_SAML_BASE=http://127.0.0.1:$port/
exec php -d session.save_path="$dir/sessions" -d display_errors=0 -d error_reporting=0 -S "127.0.0.1:$port" -t "$code/www"
