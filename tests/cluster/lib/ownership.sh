# Whose cluster is meant: our own, or one that the user gave by KUBECONFIG.
# shellcheck shell=bash

# Ours when nothing is given, when forced, or when KUBECONFIG is the very file
# that our own `env` exported earlier.
own_cluster() {
  [[ ${DISE_TEST_CLUSTER:-} == own || -z ${KUBECONFIG:-} ]] ||
    [[ $(realpath -m -- "$KUBECONFIG") == "$ADMIN_KUBECONFIG" ]]
}

say_given() {
  say "cluster: using the cluster of KUBECONFIG=$KUBECONFIG; $1"
  say "         (DISE_TEST_CLUSTER=own ignores KUBECONFIG and brings up the project's own)"
}
