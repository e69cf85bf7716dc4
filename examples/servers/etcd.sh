#!/bin/sh
# Starts a server in a way of one's own: what it is to be comes in variables, and the flags for an etcd are passed over.
#   leasehold run etcd-v3-calm --server-bin etcd=examples/servers/etcd.sh
# It must serve etcd's interface on port 2379 of its address, and end up as the process that was started (`exec`).
set -eu
peers=$(echo "$LEASEHOLD_PEERS" | sed 's#=\([0-9.]*\)#=http://\1:2380#g')
exec etcd --name "$LEASEHOLD_NODE" --data-dir "$LEASEHOLD_DATA" \
  --listen-client-urls "http://$LEASEHOLD_ADDRESS:2379" --advertise-client-urls "http://$LEASEHOLD_ADDRESS:2379" \
  --listen-peer-urls "http://$LEASEHOLD_ADDRESS:2380" --initial-advertise-peer-urls "http://$LEASEHOLD_ADDRESS:2380" \
  --initial-cluster "$peers" --initial-cluster-state "$LEASEHOLD_CLUSTER" \
  --heartbeat-interval 50 --election-timeout 500
