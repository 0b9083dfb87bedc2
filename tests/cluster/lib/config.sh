# The configuration files of containerd, its network plugins and the kubelet.
# shellcheck shell=bash

write_config() {
  mkdir -p "$STATE"/{etc,cni/net.d,logs,pids,kubelet,pod-logs} "$RUN"
  cni_config >"$STATE/cni/net.d/10-pods.conflist"
  containerd_config >"$STATE/etc/containerd.toml"
  kubelet_config >"$STATE/etc/kubelet.yaml"
  # For pods that ask for the node's resolver: not the machine's own, which they
  # could not reach and whose search domains would slow every look-up.
  echo "nameserver $DNS_SERVICE" >"$STATE/etc/resolv.conf"
}

# Unpacked images are thousands of small files, which a disk that is busy with a
# build takes many seconds to write and to delete. In memory it is instant, where
# there is memory to spare; `down` throws all of it away in any case.
ensure_image_store() {
  mkdir -p "$STATE/containerd"
  ! mountpoint -q "$STATE/containerd" || return 0
  [[ -z $(ls -A "$STATE/containerd") ]] || return 0
  local available
  available=$(awk '$1 == "MemAvailable:" { print int($2 / 1024 / 1024) }' /proc/meminfo)
  ((available < 8)) || mount -t tmpfs -o size=6g,mode=0711 dise-test-images "$STATE/containerd"
}

# restrict_oom_score_adj: without CAP_SYS_RESOURCE no score may be lowered, and
# every sandbox would die with "can't get final child's PID from pipe".
containerd_config() {
  local snapshotter=overlayfs
  ! on_overlay "$STATE/containerd" || snapshotter=native
  cat <<T
version = 2
root = "$STATE/containerd"
state = "$RUN/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
  address = "$CONTAINERD_SOCKET"

[plugins."io.containerd.internal.v1.opt"]
  path = "$STATE/containerd-opt"

[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "$PAUSE_IMAGE"
  netns_mounts_under_state_dir = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$snapshotter"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
T
}

# Disk thresholds are all but off, and images are never collected: there is no
# registry to pull a deleted image from again.
# shellcheck disable=SC2153 # CGROUP is set in common.sh
kubelet_config() {
  cat <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $GATEWAY
healthzBindAddress: 127.0.0.1
tlsCertFile: $STATE/pki/kubelet-server.crt
tlsPrivateKeyFile: $STATE/pki/kubelet-server.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $STATE/pki/ca.crt}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://$CONTAINERD_SOCKET
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
maxPods: 250
podLogsDir: $STATE/pod-logs
resolvConf: $STATE/etc/resolv.conf
clusterDNS: ["$DNS_SERVICE"]
clusterDomain: cluster.local
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {nodefs.available: 1Mi, imagefs.available: 1Mi, memory.available: 10Mi}
# Tests kill containers on purpose; the usual minutes of CrashLoopBackOff would only make them slow.
featureGates: {KubeletCrashLoopBackOffMax: true}
crashLoopBackOff: {maxContainerRestartPeriod: 1s}
Y
}

# The pods' cgroups have a root of their own, so that `down` finds every process
# of every container, whatever became of its shim.
ensure_cgroups() {
  local _ mount kind
  while read -r _ mount kind _; do
    case $kind in
      cgroup)
        mkdir -p "$mount/$CGROUP"
        # A cpuset starts out empty, and then nothing may run in it.
        [[ ! -e $mount/cpuset.cpus || -s $mount/$CGROUP/cpuset.mems && -n $(<"$mount/$CGROUP/cpuset.mems") ]] || {
          cat "$mount/cpuset.cpus" >"$mount/$CGROUP/cpuset.cpus"
          cat "$mount/cpuset.mems" >"$mount/$CGROUP/cpuset.mems"
        }
        ;;
      cgroup2)
        mkdir -p "$mount/$CGROUP"
        enable_controllers "$mount"
        enable_controllers "$mount/$CGROUP"
        ;;
    esac
  done </proc/mounts
}

# One by one: asked for together, a single one that is missing refuses them all.
enable_controllers() {
  local controllers controller
  read -ra controllers <"$1/cgroup.controllers" || return 0
  for controller in "${controllers[@]}"; do
    echo "+$controller" >"$1/cgroup.subtree_control" 2>/dev/null || true
  done
}

# One in each hierarchy: several with cgroup v1, a single one with v2.
our_cgroups() {
  awk -v name="$CGROUP" '$3 ~ /^cgroup2?$/ { print $2 "/" name }' /proc/self/mounts
}

# Fails while a dead process has not quite left its cgroup.
remove_cgroups() {
  local cgroup
  while read -r cgroup; do
    [[ ! -d $cgroup ]] || find "$cgroup" -depth -type d -exec rmdir -- {} \; 2>/dev/null || return 1
    [[ ! -d $cgroup ]] || return 1
  done < <(our_cgroups)
}
