# The pods' network: a bridge, CNI's plugins on it, and their removal.
# shellcheck shell=bash

# What the cluster (kubelet and kube-proxy included) changes in the kernel, to be
# put back by `down`.
SYSCTLS=(
  net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables
  vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
  kernel.keys.root_maxkeys kernel.keys.root_maxbytes
)

ensure_network() {
  # Built into some kernels, where modprobe has nothing to do.
  [[ -e /proc/sys/net/bridge ]] || modprobe -q br_netfilter ||
    die "the kernel has no br_netfilter: without it, pods on one node cannot reach each other by service address"
  grep -qw overlay /proc/filesystems || modprobe -q overlay || true
  [[ -e $STATE/sysctls ]] || {
    sysctl -e "${SYSCTLS[@]}" >"$STATE/sysctls.new" 2>/dev/null
    mv -- "$STATE/sysctls.new" "$STATE/sysctls"
  }
  sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
  # The address must exist before any pod does: the API server listens on it.
  [[ -e /sys/class/net/$BRIDGE ]] || ip link add "$BRIDGE" type bridge
  ip addr replace "$GATEWAY/22" dev "$BRIDGE"
  ip link set "$BRIDGE" up
}

cni_config() {
  cat <<Y
{"cniVersion": "1.0.0", "name": "dise-pods", "plugins": [
  {"type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$STATE/cni/leases",
            "ranges": [[{"subnet": "$NODE_PODS", "gateway": "$GATEWAY"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
Y
}

remove_network() {
  local link
  if [[ -e /sys/class/net/$BRIDGE ]]; then
    for link in /sys/class/net/"$BRIDGE"/brif/*; do
      [[ ! -e $link ]] || ip link del "${link##*/}" 2>/dev/null || true
    done
    ip link del "$BRIDGE"
  fi
  remove_cni_results
  remove_chains iptables
  remove_chains ip6tables
  ! command -v conntrack >/dev/null || conntrack -D --orig-dst "$SERVICES" >/dev/null 2>&1 || true
  [[ ! -e $STATE/sysctls ]] || sysctl -q -p "$STATE/sysctls" >/dev/null 2>&1 || true
}

# The one folder of CNI's that cannot be told to be elsewhere. The records of
# loopback interfaces do not say whose they are, but they end in the same id.
remove_cni_results() {
  local results=/var/lib/cni/results sandbox
  for sandbox in "$results"/dise-pods-*-eth0 "$STATE"/containerd/io.containerd.grpc.v1.cri/sandboxes/*; do
    sandbox=${sandbox##*/}
    sandbox=${sandbox#dise-pods-}
    rm -f -- "$results"/{dise-pods,cni-loopback}-"${sandbox%-eth0}"-*
  done
  rmdir "$results" "${results%/*}" 2>/dev/null || true
}

# kube-proxy's and portmap's chains, and the rules elsewhere that jump to them:
# one transaction for each table.
remove_chains() {
  local table transaction
  command -v "$1-save" >/dev/null || return 0
  for table in raw mangle nat filter; do
    transaction=$("$1-save" -t "$table" 2>/dev/null | removal_of "$table")
    [[ -z $transaction ]] || "$1-restore" --noflush <<<"$transaction" ||
      die "could not remove the cluster's $1 chains of table $table; see: $1-save -t $table | grep -E 'KUBE-|CNI-'"
  done
}

# Reads iptables-save, prints what iptables-restore needs to undo ours. Chains are
# flushed before they are deleted, for they refer to each other.
removal_of() {
  awk -v table="$1" '
    /^:(KUBE|CNI)-/ { chain = substr($1, 2); flush = flush "-F " chain "\n"; delete_ = delete_ "-X " chain "\n" }
    /^-A / && $2 !~ /^(KUBE|CNI)-/ && / -[jg] (KUBE|CNI)-/ { sub(/^-A/, "-D"); jumps = jumps $0 "\n" }
    END { if (flush jumps != "") printf "*%s\n%s%s%sCOMMIT\n", table, jumps, flush, delete_ }
  '
}
