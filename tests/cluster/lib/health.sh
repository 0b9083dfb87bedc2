# Is the cluster healthy? Each question is answered in milliseconds, and all are
# asked at once.
# shellcheck shell=bash

healthy() {
  local component check pids=() result=0
  for component in "${COMPONENTS[@]}"; do
    running "$component" || return 1
  done
  for check in "${COMPONENTS[@]/#/healthy_}" node_ready dns_answers; do
    "${check//-/_}" 9>&- &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    wait "$pid" || result=1
  done
  return "$result"
}

node_ready() {
  fetch_api "/api/v1/nodes/$NODE" |
    jq -e '.status.conditions[]? | select(.type == "Ready" and .status == "True")' >/dev/null 2>&1
}

# Asks CoreDNS over TCP, by its service address, for the address of the API's
# service: an answer proves kube-proxy, the pod network and the API along with it.
dns_answers() {
  local query answer expected
  query='\x00\x36\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00'
  query+='\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01'
  # shellcheck disable=SC2016 # expanded by the inner shell
  answer=$(timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/53" && printf "$2" >&3 && dd bs=512 count=1 <&3' _ \
    "$DNS_SERVICE" "$query" 2>/dev/null | od -An -v -tx1 | tr -d ' \n')
  # shellcheck disable=SC2086 # four numbers
  expected=$(printf '%02x' ${API_SERVICE//./ })
  [[ $answer == *"$expected" ]]
}
