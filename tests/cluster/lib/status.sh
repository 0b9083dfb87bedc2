# What a person (or a script) wants to know about the cluster.
# shellcheck shell=bash

status() {
  if ! own_cluster; then
    say_given "its health is not ours to judge"
    return
  fi
  require_root
  local component condition healthy=yes
  printf '%-20s %-8s %s\n' COMPONENT PID STATE
  for component in "${COMPONENTS[@]}"; do
    condition=$(condition_of "$component")
    [[ $condition == healthy ]] || healthy=
    running "$component" || PID=-
    printf '%-20s %-8s %s\n' "$component" "$PID" "$condition"
  done
  printf '%-20s %-8s %s\n' "node $NODE" - "$(node_ready && echo Ready || echo 'not Ready')"
  printf '%-20s %-8s %s\n' "DNS $DNS_SERVICE" - "$(dns_answers && echo answers || echo 'no answer')"
  printf '\nkubeconfig %s\nlogs       %s\n' "$ADMIN_KUBECONFIG" "$STATE/logs"
  [[ -n $healthy ]] && node_ready && dns_answers
}

condition_of() {
  if ! running "$1"; then
    if [[ -e $STATE/pids/$1 ]]; then echo "died (log: $STATE/logs/$1.log)"; else echo "not started"; fi
  elif "healthy_${1//-/_}"; then
    echo healthy
  else
    echo unhealthy
  fi
}

# For `eval`: with the user's own cluster only the tools are added, behind theirs.
print_env() {
  if ! own_cluster; then
    # shellcheck disable=SC2016 # expanded by the shell that evaluates it
    printf 'export PATH="$PATH":%q\n' "$TOOLS"
    printf 'export HELM_PLUGINS=%q\n' "${HELM_PLUGINS:-$HELM_PLUGIN_FOLDER}"
    return
  fi
  printf 'export KUBECONFIG=%q\n' "$ADMIN_KUBECONFIG"
  # shellcheck disable=SC2016 # expanded by the shell that evaluates it
  [[ ":$PATH:" == *":$TOOLS:"* ]] || printf 'export PATH=%q:"$PATH"\n' "$TOOLS"
  printf 'export HELM_PLUGINS=%q\n' "$HELM_PLUGIN_FOLDER"
  # A proxy would be asked for addresses that only this machine has.
  [[ -z ${HTTPS_PROXY:-}${https_proxy:-}${HTTP_PROXY:-}${http_proxy:-} ]] ||
    printf 'export NO_PROXY=%q no_proxy=%q\n' "${NO_PROXY:+$NO_PROXY,}$PODS,$SERVICES,127.0.0.1" "${NO_PROXY:+$NO_PROXY,}$PODS,$SERVICES,127.0.0.1"
}
