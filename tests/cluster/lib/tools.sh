# The Go binaries: built once for each version of their inputs, then taken from
# the cache.
# shellcheck shell=bash

TOOLS=$CACHE/bin
BUILDS=$CACHE/builds
HELM_PLUGIN_FOLDER=$CACHE/helm-plugins

# The modules beside this folder.
MODULES=(kube etcd coredns pause)

# Released tools: name, package, version, variable that holds the version.
RELEASES=(
  "helm helm.sh/helm/v3/cmd/helm $HELM_VERSION helm.sh/helm/v3/internal/version.version"
  "kubeconform github.com/yannh/kubeconform/cmd/kubeconform $KUBECONFORM_VERSION main.version"
  "helm-unittest github.com/helm-unittest/helm-unittest/cmd/helm-unittest $HELM_UNITTEST_VERSION main.version"
)

# One after the other: the link of kube alone wants gigabytes and every core.
ensure_tools() {
  command -v go >/dev/null || die "building the cluster's binaries needs Go 1.24 or later on the PATH"
  mkdir -p "$TOOLS" "$BUILDS"
  local compiler module entry name package version variable
  compiler=$(go env GOVERSION)
  for module in "${MODULES[@]}"; do
    ensure_build "$module" "$(cat "$HERE/$module"/{go.mod,go.sum,main.go} 2>/dev/null; echo "$compiler")" \
      build_module "$module"
  done
  for entry in "${RELEASES[@]}"; do
    read -r name package version variable <<<"$entry"
    ensure_build "$name" "$package $version $compiler" build_release "$package" "$version" "$variable"
  done
  [[ $(readlink "$TOOLS/kubectl") == kube ]] || ln -sfn kube "$TOOLS/kubectl"
  link_helm_unittest
}

# ensure_build NAME INPUTS command...: the command leaves the binary in the
# folder that is appended to it.
ensure_build() {
  local name=$1 build
  build=$BUILDS/$name-$(digest_of <<<"$2")
  shift 2
  if [[ ! -x $build ]]; then
    local scratch
    scratch=$(mktemp -d "$BUILDS/.$name-XXXXXX")
    phase "building $name" run_build "$name" "$@" "$scratch"
    mv -T -- "$scratch/$name" "$build"
    rm -rf -- "$scratch"
  fi
  [[ $(readlink "$TOOLS/$name") == "$build" ]] || ln -sfn "$build" "$TOOLS/$name"
}

run_build() {
  local log=$BUILDS/$1.log
  shift
  "$@" >"$log" 2>&1 9>&- || {
    tail -n 20 "$log" >&2
    die "the build failed; its whole output is in $log"
  }
}


# The module's pinned version is what the API server says it is; unset, clients
# and charts would take it for v0.0.0.
build_module() {
  local module=$1 output=$2 version flags=''
  if [[ $module == kube ]]; then
    version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$HERE/kube/go.mod")
    flags=$(kube_version_flags "$version")
  fi
  (cd "$HERE/$module" && CGO_ENABLED=0 GOFLAGS='' go build -trimpath -buildvcs=false \
    -ldflags "-s -w $flags" -o "$output/$module" .)
}

kube_version_flags() {
  local package major minor
  IFS=. read -r major minor _ <<<"${1#v}"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- '-X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s -X %s.gitTreeState=clean ' \
      "$package" "$1" "$package" "$major" "$package" "$minor" "$package"
  done
}

build_release() {
  local package=$1 version=$2 variable=$3 output=$4
  CGO_ENABLED=0 GOFLAGS='' GOBIN=$output go install -trimpath -buildvcs=false \
    -ldflags "-s -w -X $variable=$version" "$package@$version"
}

# `helm unittest` is a plugin: a folder with the binary and its description.
link_helm_unittest() {
  local folder=$HELM_PLUGIN_FOLDER/unittest
  mkdir -p "$folder"
  ln -sfn "$TOOLS/helm-unittest" "$folder/untt"
  cat >"$folder/plugin.yaml.new" <<Y
name: unittest
version: "${HELM_UNITTEST_VERSION#v}"
usage: unit tests of charts
description: Unit tests of Helm charts in YAML
ignoreFlags: false
command: \$HELM_PLUGIN_DIR/untt
Y
  mv -- "$folder/plugin.yaml.new" "$folder/plugin.yaml"
}
