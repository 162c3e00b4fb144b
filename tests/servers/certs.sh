#!/usr/bin/env bash
# certs.sh DIR: makes a throw-away CA (ca.crt) and a server certificate (server.crt, server.key) for localhost and 127.0.0.1.
set -euo pipefail
dir=${1:?usage: certs.sh DIR}
mkdir -p "$dir"
cd "$dir"

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2>/dev/null; }

new_key ca.key
openssl req -x509 -new -key ca.key -days 30 -subj "/CN=chunkctl test CA" -out ca.crt \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign

new_key server.key
openssl req -new -key server.key -subj "/CN=localhost" -out server.csr
cat >server.ext <<'EXT'
basicConstraints=CA:FALSE
keyUsage=digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=DNS:localhost,IP:127.0.0.1
EXT
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile server.ext -out server.crt 2>/dev/null
rm server.csr server.ext
chmod 600 ca.key server.key
