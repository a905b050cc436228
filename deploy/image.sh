#!/usr/bin/env bash
# Builds an OCI image without a container engine: image.sh [BINARY [ARCHIVE]]
# It holds the binary, the libraries that it is linked with, and this machine's CA certificates, nothing else.
# Needs umoci (Debian's package umoci).
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
binary=${1:-$here/target/release/stillpoint}
archive=${2:-$here/target/stillpoint-image.tar}

fail() { printf 'image.sh: %s\n' "$*" >&2; exit 1; }

[ -x "$binary" ] || fail "there is no program $binary: run \`make release\` first"
command -v umoci >/dev/null || fail "umoci is not installed (Debian's package umoci)"
for certificates in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt ""; do
  [ -e "$certificates" ] && break
done
[ -n "$certificates" ] || fail "no CA certificates are installed here (Debian's package ca-certificates)"
version=$("$binary" --version)
version=${version#stillpoint }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
install -D -m 755 "$binary" "$root/usr/bin/stillpoint"
install -D -m 644 "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
printf 'root:x:0:0::/:/none\nstillpoint:x:65532:65532::/var/lib/stillpoint:/none\n' >"$root/etc/passwd"
printf 'root:x:0:\nstillpoint:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
# The loader and the libraries, where the binary looks for them; a static binary has none.
libraries=$(ldd "$binary" 2>/dev/null | grep -o '/[^ ]*' || true)
for library in $libraries; do install -D -m 755 "$library" "$root$library"; done
mkdir -p "$work/own/var/lib/stillpoint"

# The same files make the same layer, whoever builds it.
pack() { tar --sort=name --mtime=@0 --numeric-owner --mode=go-w "$@"; }
pack --owner=0 --group=0 -C "$root" -cf "$work/layer.tar" .
pack --owner=65532 --group=65532 -C "$work/own" -rf "$work/layer.tar" ./var/lib/stillpoint

image=$work/image:$version
umoci init --layout "$work/image"
umoci new --image "$image"
umoci raw add-layer --image "$image" "$work/layer.tar"
umoci config --image "$image" \
  --config.user 65532:65532 --config.entrypoint /usr/bin/stillpoint --config.env PATH=/usr/bin \
  --config.workingdir / --config.exposedports 9650/tcp \
  --config.label org.opencontainers.image.title=stillpoint --config.label "org.opencontainers.image.version=$version"
umoci gc --layout "$work/image"

mkdir -p "$(dirname "$archive")"
tar -C "$work/image" -cf "$archive" oci-layout index.json blobs
printf 'stillpoint %s is in %s\n' "$version" "$archive"
