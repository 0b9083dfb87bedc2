# Removing every trace of the cluster from the machine, in whatever state it is.
# shellcheck shell=bash

down() {
  if ! own_cluster; then
    say_given "it stays as it is"
    return
  fi
  require_root
  take_lock
  local begin=$EPOCHREALTIME owner=''
  [[ ! -e $RUN/owner ]] || owner=$(<"$RUN/owner")
  [[ -z $owner || $owner == "$STATE" ]] ||
    die "the cluster that is up has its state in $owner: DISE_CLUSTER_STATE=$owner $PROGRAM down"
  tear_down
  say "cluster: down after $(seconds_since "$begin")s; nothing of it is left but the cache in $CACHE"
}

# Everything is killed outright, for all state goes with it. First those that
# would replace what is killed next.
tear_down() {
  local component
  for component in kubelet controller-manager scheduler proxy apiserver containerd etcd; do
    kill_component "$component" || true
  done
  kill_our_processes
  unmount_all
  remove_network
  retry_for 10 remove_cgroups || die "some cgroups stay; see: find /sys/fs/cgroup -name $CGROUP"
  remove_state
}

# Deepest first, and again while there are any: mounts can lie on one another.
unmount_all() {
  local attempt mounts
  for attempt in {1..20}; do
    mapfile -t mounts < <(our_mounts)
    ((${#mounts[@]})) || return 0
    umount -l -- "${mounts[@]}" 2>/dev/null || true
  done
  die "these stay mounted (tried $attempt times): ${mounts[*]}"
}

our_mounts() {
  awk -v state="$STATE/" -v run="$RUN/" \
    'index($2, state) == 1 || index($2, run) == 1 { print $2 }' /proc/self/mounts | sort -r
}

# Only a directory that `up` claimed, and only on its own file system: should a
# mount have slipped through, what it shows is not deleted.
remove_state() {
  if claimed; then
    rm -rf --one-file-system -- "$STATE"
  fi
  rm -rf --one-file-system -- "$RUN"
}
