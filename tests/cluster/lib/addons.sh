# What lies in the cluster itself: DNS, the storage class and its volumes.
# shellcheck shell=bash

VOLUMES=8

apply_addons() {
  local number
  {
    sed -e "s|@COREDNS_IMAGE@|$COREDNS_IMAGE|" -e "s|@DNS_SERVICE@|$DNS_SERVICE|" "$HERE"/manifests/coredns.yaml
    printf -- '---\n'
    cat "$HERE"/manifests/storage-class.yaml
    for ((number = 1; number <= VOLUMES; number++)); do
      volume_manifest "$number"
    done
  } | kubectl apply -f - >"$STATE/logs/addons.log" 2>&1 || {
    cat "$STATE/logs/addons.log" >&2
    return 1
  }
}

# "local" and not "hostPath": only for the former does the kubelet give the files
# to a pod's fsGroup, as it does on any real volume. Pods without an fsGroup can
# write as well: the folder belongs to 65532, the project's user, and is open to all.
volume_manifest() {
  local folder=$STATE/volumes/$1
  mkdir -p "$folder"
  open_to_all "$folder"
  cat <<Y
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: dise-test-$1}
spec:
  capacity: {storage: 5Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: dise-test-local
  persistentVolumeReclaimPolicy: Retain
  local: {path: "$folder"}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions:
        - {key: kubernetes.io/hostname, operator: In, values: [$NODE]}
Y
}

# Five digits, since with four chmod keeps the setgid bit that an fsGroup leaves.
open_to_all() {
  chown 65532:65532 "$1"
  chmod 00777 "$1"
}

# Volumes whose claim is gone stay Released, and nothing in the cluster can empty
# them. Each `up` does, so that test runs do not use them up.
recycle_volumes() {
  local released name
  released=$(fetch_api /api/v1/persistentvolumes |
    jq -r '.items[] | select(.spec.storageClassName == "dise-test-local" and .status.phase == "Released") | .metadata.name') || return 0
  for name in $released; do
    find "$STATE/volumes/${name##*-}" -mindepth 1 -delete
    open_to_all "$STATE/volumes/${name##*-}"
    kubectl patch persistentvolume "$name" --type json --patch '[{"op": "remove", "path": "/spec/claimRef"}]' >/dev/null
  done
}
