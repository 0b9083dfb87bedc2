# Bringing the cluster up, or back up.
# shellcheck shell=bash

up() {
  if ! own_cluster; then
    say_given "nothing to bring up"
    return
  fi
  require_root
  local begin=$EPOCHREALTIME
  already_up && return
  take_lock
  # Whoever held the lock may have done all there is to do.
  already_up && return

  say "cluster: bringing it up (state $STATE, cache $CACHE)"
  ensure_packages
  ensure_tools
  ensure_images
  local healing=
  if claimed && ! any_running etcd containerd apiserver; then
    phase "removing what an earlier one left behind" tear_down
  elif claimed; then
    healing=yes
    say "  some of it is still running: only the rest is started"
  fi
  claim
  if [[ -z $healing ]]; then
    bring_up
  elif ! attempt bring_up; then
    say "  that did not heal it: starting over"
    phase "removing the broken cluster" tear_down
    claim
    bring_up
  fi
  say "cluster: up after $(seconds_since "$begin")s; for this shell: eval \"\$($PROGRAM env)\""
}

already_up() {
  claimed && healthy || return 1
  recycle_volumes
  say "cluster: up and healthy ($ADMIN_KUBECONFIG)"
}

# Does the state directory hold a cluster, whole or not?
claimed() { [[ -e $STATE/.dise-test-cluster ]]; }

claim() {
  local owner=''
  [[ ! -e $RUN/owner ]] || owner=$(<"$RUN/owner")
  [[ -z $owner || $owner == "$STATE" ]] ||
    die "another cluster is up, with its state in $owner; stop it first: DISE_CLUSTER_STATE=$owner $PROGRAM down"
  # `down` deletes this directory: never one that is somebody else's.
  if ! claimed && [[ -d $STATE && -n $(ls -A "$STATE") ]]; then
    die "$STATE is not empty and holds no test cluster; choose another with DISE_CLUSTER_STATE"
  fi
  mkdir -p "$STATE" "$RUN"
  chmod 711 "$STATE"
  echo "$STATE" >"$RUN/owner"
  touch "$STATE/.dise-test-cluster"
}

any_running() {
  local component
  for component in "$@"; do
    ! running "$component" || return 0
  done
  return 1
}

# Runs a function that may fail. (In a condition, bash would ignore every error
# inside it instead of stopping at the first.)
attempt() {
  local result
  set +e
  (
    set -e
    "$@"
  )
  result=$?
  set -e
  return "$result"
}

bring_up() {
  phase "certificates, network, configuration" prepare
  phase "etcd, containerd" ensure_components etcd containerd
  # The API server takes a few seconds to start; images are imported meanwhile.
  ensure_started apiserver
  phase "images into containerd" load_own_images
  phase "API server" await_component apiserver
  phase "controllers, scheduler, proxy, kubelet" ensure_components controller-manager scheduler proxy kubelet
  phase "DNS, storage class, volumes" apply_addons_patiently
  recycle_volumes
  phase "node is Ready" await 90 node_ready "the node did not become Ready; see $STATE/logs/kubelet.log"
  phase "CoreDNS answers" await 90 dns_answers "CoreDNS does not answer; see: $TOOLS/kubectl --kubeconfig $ADMIN_KUBECONFIG -n kube-system describe pods"
}

prepare() {
  ensure_image_store
  write_config
  ensure_pki
  ensure_network
  ensure_cgroups
}

load_own_images() {
  local name
  for name in "${!ARCHIVES[@]}"; do
    load_image "${ARCHIVES[$name]}" >/dev/null 2>&1 || die "could not import $name from ${ARCHIVES[$name]}"
  done
}

# RBAC's own roles and the default namespaces appear a moment after the API does.
apply_addons_patiently() {
  await 30 apply_addons "the addons were refused; see $STATE/logs/addons.log"
}

# await SECONDS question "what to say when the answer stays no"
await() { retry_for "$1" "$2" || die "$3"; }

ensure_components() {
  local component
  for component in "$@"; do
    ensure_started "$component"
  done
  for component in "$@"; do
    await_component "$component"
  done
}

ensure_started() {
  running "$1" || start_component "$1"
}

# One that runs but answers nothing is given time (the machine may be busy) and
# then a second chance as a new process.
await_component() {
  local question=healthy_${1//-/_}
  retry_for_running "$1" 60 "$question" && return
  say "  $1 is not healthy; restarting it. Its last words:"
  tail -n 5 "$STATE/logs/$1.log" >&2 || true
  kill_component "$1" || true
  start_component "$1"
  retry_for_running "$1" 60 "$question" || {
    tail -n 20 "$STATE/logs/$1.log" >&2
    die "$1 does not start; its whole log is $STATE/logs/$1.log"
  }
}

# Gives up early when the process has died.
retry_for_running() {
  local component=$1 end=$((SECONDS + $2))
  until "$3"; do
    ((SECONDS < end)) && running "$component" || return 1
    sleep 0.1
  done
}
