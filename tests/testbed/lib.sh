# shellcheck shell=bash
# What the scripts of this folder share. Source it; it defines names and runs nothing that takes time.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export DISE_CACHE=${DISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dise}
# Third-party crates are built once for all checkouts; cargo itself keys what is in here by content.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$DISE_CACHE/cargo-target}
cluster=$root/tests/cluster/cluster
# shellcheck disable=SC2034
system_namespace=${DISE_SYSTEM_NAMESPACE:-dise-system}

say() { printf '==> %s\n' "$*" >&2; }

# Has the script print its own time when it ends.
report_time() {
  script_title=$1
  trap 'printf "%s: %s s, exit %s\n" "$script_title" "$SECONDS" "$?" >&2' EXIT
}

# Puts kubectl, helm and the kubeconfig in place. A cluster given by KUBECONFIG keeps its own.
use_cluster() { eval "$("$cluster" env)"; }

# True when the cluster is the project's own, whose node is this machine.
own_cluster() { [[ ${KUBECONFIG:-} == "$(env --unset=KUBECONFIG "$cluster" kubeconfig)" ]]; }
