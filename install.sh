#!/bin/sh
# shellcheck disable=SC2016 # backquotes in messages are marks around what a person would type
# Builds and installs chunkctl and chunk-broker from this checkout; with --demo, shows what they do.
#
# One profile and one target folder serve this script, the demo and ./tests/run, so that nothing is built twice.
set -eu

rust_needed=1.94
demo=no
prefix=

usage() {
	cat <<'END'
Usage: ./install.sh [--demo] [--prefix DIR]

Builds chunkctl and chunk-broker and installs them with completions and man pages.

  --demo        afterwards run `chunkctl demo`: the whole road on made-up data, in under a minute
  --prefix DIR  install below DIR; /usr/local for root and ~/.local for everybody else by default
  --help        this text

Environment: CARGO_TARGET_DIR  where to build; ~/.cache/chunkctl/target by default
END
}

say() { printf '%s\n' "$*" >&2; }
fail() {
	say "error: $1"
	shift
	for line in "$@"; do say "  $line"; done
	exit 3
}
has() { command -v "$1" >/dev/null 2>&1; }

while [ $# -gt 0 ]; do
	case $1 in
	--demo) demo=yes ;;
	--prefix)
		[ $# -ge 2 ] || fail '`--prefix` needs a folder' 'run `./install.sh --help`'
		prefix=$2
		shift
		;;
	--prefix=*) prefix=${1#--prefix=} ;;
	-h | --help)
		usage
		exit 0
		;;
	*) fail "unknown option \`$1\`" 'run `./install.sh --help`' ;;
	esac
	shift
done

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd "$here"
[ -n "${HOME:-}" ] || fail 'HOME is not set, so there is no folder to build or install into' 'run `HOME=/some/folder ./install.sh`'
if [ -z "$prefix" ]; then
	if [ "$(id -u)" = 0 ]; then prefix=/usr/local; else prefix=$HOME/.local; fi
fi
case $prefix in
/*) ;;
*) prefix=$(pwd)/$prefix ;;
esac
mkdir -p "$prefix/bin" 2>/dev/null && [ -w "$prefix/bin" ] || fail "cannot write to $prefix/bin" 'run `./install.sh --prefix DIR` with a folder of yours'

# --- tools -----------------------------------------------------------------------------------------------------------------

# Rust is not taken from the distribution: what Debian 12 and Ubuntu 24.04 carry is too old.
[ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
if ! has cargo || ! has rustc; then
	fail "there is no Rust toolchain; version $rust_needed or newer is needed" \
		'get one from https://rustup.rs, then run this again'
fi
rust_found=$(rustc --version | cut -d' ' -f2 | cut -d- -f1)
if [ "$(printf '%s\n%s\n' "$rust_needed" "$rust_found" | sort -V | head -n 1)" != "$rust_needed" ]; then
	fail "rustc is $rust_found; $rust_needed or newer is needed" 'run `rustup update stable`, then this again'
fi

missing=
has cc || missing="$missing gcc libc6-dev"
[ -z "$missing" ] && { printf '#include <stdlib.h>\nint main(void){return 0;}\n' | cc -x c -o /dev/null - 2>/dev/null || missing=' libc6-dev'; }
if [ -n "$missing" ]; then
	as_root=
	if [ "$(id -u)" != 0 ]; then
		if has sudo && sudo -n true 2>/dev/null; then as_root='sudo -n'; else as_root=no; fi
	fi
	if ! has apt-get || [ "$as_root" = no ]; then
		fail "a C compiler is needed (ring, zstd and SQLite are built from C):$missing" "as root, run \`apt-get install$missing\`, then this again"
	fi
	say "Installing with apt-get:$missing"
	# shellcheck disable=SC2086 # both are lists of words
	{ $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing; } >&2 ||
		fail 'apt-get failed; what it said stands above'
fi

# --- build -----------------------------------------------------------------------------------------------------------------

CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/chunkctl/target}
export CARGO_TARGET_DIR
mkdir -p "$CARGO_TARGET_DIR"
log=$CARGO_TARGET_DIR/install.log
built=$CARGO_TARGET_DIR/release

free_kib=$(df -Pk "$CARGO_TARGET_DIR" | awk 'NR == 2 { print $4 }')
if [ ! -x "$built/chunk-broker" ] && [ "$free_kib" -lt 4194304 ]; then
	say "warning: only $((free_kib / 1048576)) GiB are free below $CARGO_TARGET_DIR; a clean build wants about 4."
fi

say "Building chunkctl and chunk-broker with rustc $rust_found in $CARGO_TARGET_DIR"
if [ ! -x "$built/chunk-broker" ]; then
	say 'The first build takes long: chunk-broker carries a query engine (DataFusion), about 10 to 15 minutes on two cores.'
	say 'Later builds reuse it and take seconds to a few minutes.'
fi

build() { cargo build --release --locked -p chunkctl -p chunk-broker; }

if [ -t 2 ]; then
	build || fail 'the build failed; what cargo said stands above'
else
	started=$(date +%s)
	total=$(cargo tree --locked -p chunkctl -p chunk-broker -e normal,build --prefix none 2>/dev/null | cut -d' ' -f1,2 | sort -u | wc -l)
	build >"$log" 2>&1 &
	cargo_pid=$!
	trap 'kill "$cargo_pid" 2>/dev/null; exit 130' INT TERM
	waited=0
	while kill -0 "$cargo_pid" 2>/dev/null; do
		sleep 1
		waited=$((waited + 1))
		if [ $((waited % 30)) = 0 ]; then
			elapsed=$(($(date +%s) - started))
			done_now=$(grep -c '^ *Compiling ' "$log" || true)
			last=$(grep '^ *Compiling ' "$log" | tail -n 1 | awk '{ print $2 }')
			case $(tail -n 1 "$log") in
			*Blocking*) last='waiting for another cargo that builds in the same folder' ;;
			*) last="$done_now packages begun of at most $total${last:+, last $last}" ;;
			esac
			say "  $((elapsed / 60)) min $((elapsed % 60)) s: $last"
		fi
	done
	trap - INT TERM
	if ! wait "$cargo_pid"; then
		tail -n 40 "$log" >&2
		fail "the build failed; all of what cargo said is in $log"
	fi
	elapsed=$(($(date +%s) - started))
	say "Built in $((elapsed / 60)) min $((elapsed % 60)) s."
fi

# --- install ---------------------------------------------------------------------------------------------------------------

# A temporary name, then a rename: a program that runs is replaced without harm, and an interrupted copy is never run.
put() {
	mode=$1 from=$2 to=$3
	mkdir -p "$(dirname "$to")"
	cp "$from" "$to.new.$$" && chmod "$mode" "$to.new.$$" && mv -f "$to.new.$$" "$to"
}

for program in chunkctl chunk-broker; do
	put 755 "$built/$program" "$prefix/bin/$program"
done

generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
for program in chunkctl chunk-broker; do
	for shell in bash zsh fish; do
		"$built/$program" completions "$shell" >"$generated/$shell"
		case $shell in
		bash) put 644 "$generated/bash" "$prefix/share/bash-completion/completions/$program" ;;
		zsh) put 644 "$generated/zsh" "$prefix/share/zsh/site-functions/_$program" ;;
		fish) put 644 "$generated/fish" "$prefix/share/fish/vendor_completions.d/$program.fish" ;;
		esac
	done
	mkdir -p "$generated/man"
	"$built/$program" man --dir "$generated/man" >"$generated/said" 2>&1 || { cat "$generated/said" >&2 && exit 70; }
done
for page in "$generated"/man/*.1; do
	put 644 "$page" "$prefix/share/man/man1/$(basename "$page")"
done
rm -rf "$generated"
trap - EXIT

say "Installed $("$prefix/bin/chunkctl" --version) and chunk-broker into $prefix/bin, with completions and man pages below $prefix/share."
case :$PATH: in
*":$prefix/bin:"*) ;;
*) say "note: $prefix/bin is not in your PATH; run \`export PATH=\"$prefix/bin:\$PATH\"\`" ;;
esac

if [ "$demo" = yes ]; then
	exec "$prefix/bin/chunkctl" demo
fi
say 'next: run `chunkctl demo`'
