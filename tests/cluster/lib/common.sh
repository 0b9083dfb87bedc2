# Names, addresses and the few helpers that every part uses.
# shellcheck shell=bash disable=SC2034 # used by the other parts

# The defaults are resolved to absolute paths once: they end up in command
# lines that processes are later recognised by.
STATE=$(realpath -m -- "${DISE_CLUSTER_STATE:-/var/lib/dise-test-cluster}")
CACHE=$(realpath -m -- "${DISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dise}")
# Sockets and mounts; one cluster per machine, whatever the state directory.
RUN=/run/dise-test-cluster
LOCK=/run/dise-test-cluster.lock

# In the environment of all that the cluster starts (shims inherit it from
# containerd), so that a process whose pid file was lost is still known as ours.
MARK="DISE_TEST_CLUSTER_PROCESS_OF=$STATE"

# The bridge is ours alone, and not called cni0 nor on 10.88/10.244/10.42: those
# belong to podman, flannel and k3s on machines that have them.
BRIDGE=dise0
NODE=dise-node
GATEWAY=10.90.0.1
PODS=10.90.0.0/16
# A /22 has room for maxPods plus the addresses of pods that are going away.
NODE_PODS=10.90.0.0/22
SERVICES=10.96.0.0/16
API_SERVICE=10.96.0.1
DNS_SERVICE=10.96.0.10

# The API listens on the bridge's own address: pods must reach it, and neither
# the network outside nor loopback forwarding has to.
API_PORT=6443
API="https://$GATEWAY:$API_PORT"
ETCD="http://127.0.0.1:12379"
ETCD_PEER="http://127.0.0.1:12380"

CONTAINERD_SOCKET=$RUN/containerd.sock
CGROUP=dise-test-cluster
ADMIN_KUBECONFIG=$STATE/admin.conf

# Everything a person reads goes to stderr; stdout carries only results.
say() { printf '%s\n' "$*" >&2; }

die() {
  say "cluster: $*"
  exit 1
}

# phase "doing what" command...: one line with the seconds it took. The command
# runs in this shell, so a `die` inside ends the whole program.
phase() {
  local label=$1 begin=$EPOCHREALTIME
  shift
  "$@"
  printf '  %-44s %5ss\n' "$label" "$(seconds_since "$begin")" >&2
}

seconds_since() {
  local now=$EPOCHREALTIME
  # EPOCHREALTIME is in microseconds once the decimal point (or comma) is gone.
  local micros=$((${now/[.,]/} - ${1/[.,]/}))
  printf '%d.%d' $((micros / 1000000)) $((micros % 1000000 / 100000))
}

# retry_for SECONDS command...: until it succeeds.
retry_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

# One command at a time: a second `up` waits and then finds the work done. Every
# process that outlives the command must be started with 9>&-, or it would hold
# the lock for as long as it lives.
take_lock() {
  exec 9>>"$LOCK"
  if ! flock -n 9; then
    say "cluster: another cluster command is at work (pid $(<"$LOCK")); waiting for it"
    flock -w 1800 9 || die "still locked after 30 minutes: see what pid $(<"$LOCK") is doing"
  fi
  printf '%s' "$$" >"$LOCK"
}

require_root() {
  ((EUID == 0)) || die "needs root: it runs containers, a bridge and a kubelet (you are uid $EUID)"
}

# The root disk of a container is an overlay, and overlays do not stack: the
# image stores then have to copy files instead.
on_overlay() {
  [[ $(stat -f -c %T -- "$1") == overlayfs ]]
}

digest_of() { sha256sum | cut -c1-16; }
