# The Debian packages the cluster runs on.
# shellcheck shell=bash

# package:a file that it alone brings. Looking for files is a thousand times
# faster than asking dpkg, and right for tools installed by other means.
PACKAGES=(
  containerd:containerd
  runc:runc
  containernetworking-plugins:/usr/lib/cni/bridge
  iptables:iptables
  conntrack:conntrack
  ebtables:ebtables
  socat:socat
  iproute2:ip
  kmod:modprobe
  procps:sysctl
  openssl:openssl
  curl:curl
  jq:jq
  buildah:buildah
  mmdebstrap:mmdebstrap
  prometheus:prometheus
)

missing_packages() {
  local entry
  for entry in "${PACKAGES[@]}"; do
    command -v "${entry#*:}" >/dev/null || printf '%s\n' "${entry%%:*}"
  done
}

ensure_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null ||
    die "these tools are missing and this is no Debian to install them on: ${missing[*]}"
  say "  installing Debian packages: ${missing[*]}"
  phase "Debian packages" install_packages "${missing[@]}"
}

# containerd and prometheus start their services when installed. Ours run with
# their own configuration, and a second one would hold the same ports.
install_packages() {
  local policy=/usr/sbin/policy-rc.d log=$CACHE/apt.log created=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    created=yes
  fi
  local result=0
  mkdir -p "$CACHE"
  {
    apt_install "$@" || { apt-get update && apt_install "$@"; }
  } >"$log" 2>&1 9>&- || result=$?
  [[ -z $created ]] || rm -f "$policy"
  ((result == 0)) || {
    tail -n 20 "$log" >&2
    die "apt-get install failed; its whole output is in $log"
  }
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}
