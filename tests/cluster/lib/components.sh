# The seven processes of the node: how each starts, and how each shows its health.
# shellcheck shell=bash

COMPONENTS=(etcd containerd apiserver controller-manager scheduler proxy kubelet)

# Also by the names that Kubernetes gives them.
component_named() {
  local name=${1#kube-}
  [[ " ${COMPONENTS[*]} " == *" $name "* ]] || die "no component '$1'; there are: ${COMPONENTS[*]}"
  printf '%s' "$name"
}

start_component() {
  require_free_ports "$1"
  "start_${1/-/_}"
}

# No fsync: a machine that loses power loses a test cluster.
start_etcd() {
  start etcd "$TOOLS/etcd" --data-dir "$STATE/etcd" --unsafe-no-fsync \
    --listen-client-urls "$ETCD" --advertise-client-urls "$ETCD" \
    --listen-peer-urls "$ETCD_PEER" --initial-advertise-peer-urls "$ETCD_PEER" --initial-cluster "default=$ETCD_PEER"
}
healthy_etcd() { [[ $(fetch "$ETCD/health") == *'"health":"true"'* ]]; }

start_containerd() {
  rm -f "$CONTAINERD_SOCKET"
  start containerd containerd --config "$STATE/etc/containerd.toml"
}
healthy_containerd() { containerd_ctl version >/dev/null 2>&1; }

start_apiserver() {
  start apiserver "$TOOLS/kube" kube-apiserver --etcd-servers="$ETCD" \
    --bind-address="$GATEWAY" --advertise-address="$GATEWAY" --secure-port="$API_PORT" --shutdown-delay-duration=0s \
    --tls-cert-file="$STATE/pki/apiserver.crt" --tls-private-key-file="$STATE/pki/apiserver.key" \
    --client-ca-file="$STATE/pki/ca.crt" \
    --kubelet-client-certificate="$STATE/pki/apiserver-kubelet-client.crt" \
    --kubelet-client-key="$STATE/pki/apiserver-kubelet-client.key" \
    --kubelet-certificate-authority="$STATE/pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --proxy-client-cert-file="$STATE/pki/front-proxy.crt" --proxy-client-key-file="$STATE/pki/front-proxy.key" \
    --requestheader-client-ca-file="$STATE/pki/ca.crt" --requestheader-allowed-names=front-proxy \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$STATE/pki/service-accounts.pub" \
    --service-account-signing-key-file="$STATE/pki/service-accounts.key" \
    --service-cluster-ip-range="$SERVICES" --authorization-mode=Node,RBAC \
    --enable-admission-plugins=NodeRestriction --allow-privileged=true --profiling=false
}
healthy_apiserver() { [[ $(fetch_api /readyz) == ok ]]; }

start_controller_manager() {
  start controller-manager "$TOOLS/kube" kube-controller-manager --kubeconfig="$STATE/pki/controller-manager.conf" \
    --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials \
    --service-account-private-key-file="$STATE/pki/service-accounts.key" --root-ca-file="$STATE/pki/ca.crt" \
    --cluster-signing-cert-file="$STATE/pki/ca.crt" --cluster-signing-key-file="$STATE/pki/ca.key" \
    --allocate-node-cidrs --cluster-cidr="$PODS" --node-cidr-mask-size=22 --service-cluster-ip-range="$SERVICES" \
    --kube-api-qps=200 --kube-api-burst=400 --profiling=false
}
healthy_controller_manager() { [[ $(fetch --insecure https://127.0.0.1:10257/healthz) == ok ]]; }

start_scheduler() {
  start scheduler "$TOOLS/kube" kube-scheduler --kubeconfig="$STATE/pki/scheduler.conf" \
    --bind-address=127.0.0.1 --leader-elect=false --kube-api-qps=200 --kube-api-burst=400 --profiling=false
}
healthy_scheduler() { [[ $(fetch --insecure https://127.0.0.1:10259/healthz) == ok ]]; }

# The zeros leave the kernel's conntrack settings alone.
start_proxy() {
  start proxy "$TOOLS/kube" kube-proxy --kubeconfig="$STATE/pki/proxy.conf" --hostname-override="$NODE" \
    --proxy-mode=iptables --cluster-cidr="$PODS" --iptables-min-sync-period=100ms --nodeport-addresses=primary \
    --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0 \
    --healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
}
healthy_proxy() { fetch http://127.0.0.1:10256/livez >/dev/null; }

start_kubelet() {
  ensure_cgroups
  start kubelet "$TOOLS/kube" kubelet --config="$STATE/etc/kubelet.yaml" --kubeconfig="$STATE/pki/kubelet.conf" \
    --root-dir="$STATE/kubelet" --cert-dir="$STATE/pki" --hostname-override="$NODE" --node-ip="$GATEWAY"
}
healthy_kubelet() { [[ $(fetch http://127.0.0.1:10248/healthz) == ok ]]; }

# Only the ports of one component, and only when it is about to start: what
# listens then cannot be ours.
require_free_ports() {
  local port holder
  for port in $(ports_of "$1"); do
    holder=$(ss -Hltnp "sport = :$port" | grep -oP 'users:\(\("\K[^"]+",pid=\d+' | sed 's/",pid=/, pid /' | sort -u | paste -sd';' || true)
    [[ -z $holder ]] || die "port $port, which $1 needs, is taken by: $holder. Stop that first (another Kubernetes on this machine?)"
  done
}

ports_of() {
  case $1 in
    etcd) echo 12379 12380 ;;
    apiserver) echo "$API_PORT" ;;
    controller-manager) echo 10257 ;;
    scheduler) echo 10259 ;;
    proxy) echo 10249 10256 ;;
    kubelet) echo 10248 10250 ;;
  esac
}

# The time-out is generous: on a machine busy with a build, slow is not broken.
fetch() { curl --silent --fail --noproxy '*' --max-time 10 "$@"; }

fetch_api() {
  fetch --cacert "$STATE/pki/ca.crt" --cert "$STATE/pki/admin.crt" --key "$STATE/pki/admin.key" "$API$1"
}

kubectl() { "$TOOLS/kubectl" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }

containerd_ctl() { ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }
