// Command etcd is the unchanged etcd server. Debian's 3.4 cannot report
// progress on a watch, which the API server of Kubernetes 1.34 relies on: with
// it every list from the cache fails over to a slow path.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
