#!/usr/bin/env bash
# Builds what the tests of Kubernetes need into the folder that is named: build.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")"
to=$1
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath -mod=readonly"
kubernetes=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
major=${kubernetes#v}
major=${major%%.*}
minor=${kubernetes#v*.}
minor=${minor%%.*}
version=k8s.io/component-base/version
# A build without these calls itself 0.0.0, which clients refuse.
flags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=$major -X $version.gitMinor=$minor"
go build -ldflags "-s -w" -o "$to/etcd" go.etcd.io/etcd/server/v3
for program in kube-apiserver kube-controller-manager kubectl; do
  go build -ldflags "$flags" -o "$to/$program" "k8s.io/kubernetes/cmd/$program"
done
GOFLAGS="-trimpath" GOBIN=$to go install helm.sh/helm/v3/cmd/helm@v3.22.0
