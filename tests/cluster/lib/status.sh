# What a person (or a script) wants to know about the cluster.
# shellcheck shell=bash

status() {
  if ! own_cluster; then
    say_given "its health is not ours to judge"
    return
  fi
  require_root
  local component broken=
  # All at once: when one part is broken, questions to others take their time.
  declare -A answers=()
  ask_all
  printf '%-20s %-8s %s\n' COMPONENT PID STATE
  for component in "${COMPONENTS[@]}"; do
    running "$component" || PID=-
    printf '%-20s %-8s %s\n' "$component" "$PID" "${answers[$component]}"
    [[ ${answers[$component]} == healthy ]] || broken=yes
  done
  printf '%-20s %-8s %s\n' "node $NODE" - "${answers[node]}" "DNS $DNS_SERVICE" - "${answers[dns]}"
  printf '\nkubeconfig %s\nlogs       %s\n' "$ADMIN_KUBECONFIG" "$STATE/logs"
  [[ -z $broken && ${answers[node]} == Ready && ${answers[dns]} == answers ]]
}

# Fills in `answers`. Each question is a process; what it says comes by a pipe.
ask_all() {
  local what answer component
  while read -r what answer; do
    answers[$what]=$answer
  done < <(
    for component in "${COMPONENTS[@]}"; do
      echo "$component $(condition_of "$component")" &
    done
    echo "node $(node_ready && echo Ready || echo 'not Ready')" &
    echo "dns $(dns_answers && echo answers || echo 'no answer')" &
    wait
  )
}

condition_of() {
  if ! running "$1"; then
    [[ -e $STATE/pids/$1 ]] && echo "died (log: $STATE/logs/$1.log)" || echo "not started"
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
