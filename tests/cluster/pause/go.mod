module dise.invalid/testcluster/pause

go 1.24.0
