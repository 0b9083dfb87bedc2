# Starting, recognising and stopping the cluster's processes.
# shellcheck shell=bash

# A pid file holds "pid start-time executable". A pid alone may be someone
# else's by now; together with its start time it never is.

# start NAME command...
start() {
  local name=$1 log=$STATE/logs/$1.log pid
  shift
  [[ ! -e $log ]] || mv -f -- "$log" "$log.1"
  env "$MARK" setsid "$@" >"$log" 2>&1 </dev/null 9>&- &
  pid=$!
  disown "$pid"
  printf '%s %s %s\n' "$pid" "$(start_time "$pid" || true)" "$1" >"$STATE/pids/$name.new"
  mv -f -- "$STATE/pids/$name.new" "$STATE/pids/$name"
}

# The 22nd field of stat, counted from behind the name, which may hold spaces.
# Fails when there is no such process or only its zombie.
start_time() {
  local stat fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }"
  [[ ${fields[0]:-Z} != [ZX] ]] || return 1
  printf '%s' "${fields[19]}"
}

# running NAME: is the process that we started still there? Sets PID.
running() {
  local began executable argument
  PID=''
  read -r PID began executable 2>/dev/null <"$STATE/pids/$1" || return 1
  [[ $(start_time "$PID" || true) == "$began" ]] || return 1
  # Between fork and exec the command line is still that of this script.
  while IFS= read -r -d '' argument; do
    [[ $argument != "$executable" ]] || return 0
  done 2>/dev/null <"/proc/$PID/cmdline"
  return 1
}

# kill_component NAME: at once and for sure. Nothing here has anything to save.
kill_component() {
  running "$1" || return 1
  kill -KILL "$PID" 2>/dev/null || return 0
  retry_for 10 gone "$PID" || die "$1 (pid $PID) does not die; it may hang in the kernel, see /proc/$PID/stack"
}

gone() { ! start_time "$1" >/dev/null; }

# Every process that carries our mark, and every one in our cgroups: shims and
# containers outlive containerd, and containers outlive even their shim.
our_processes() {
  local cgroups
  mapfile -t cgroups < <(our_cgroups)
  {
    grep -lzxF -- "$MARK" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
    find "${cgroups[@]}" -name cgroup.procs -exec cat -- {} + 2>/dev/null
  } | sort -un | grep -vxF "$$" || true
}

# Again and again until none is left: a shim may have been starting a container.
kill_our_processes() {
  local pids attempt
  for attempt in {1..100}; do
    mapfile -t pids < <(our_processes)
    ((${#pids[@]})) || return 0
    kill -KILL "${pids[@]}" 2>/dev/null || true
    sleep 0.1
  done
  die "these processes of the cluster do not die: ${pids[*]} (tried $attempt times)"
}
