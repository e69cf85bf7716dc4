#!/usr/bin/env bash
# A suite shared out by GNU parallel, and merged. It is called again after whatever cut it short, and goes on where it stopped.
#
#   examples/parallel/suite.sh SUITE FOLDER PARTS [options of parallel]
#   examples/parallel/suite.sh smoke results/smoke 3 --jobs 1
#   examples/parallel/suite.sh smoke /shared/smoke 8 --jobs 1 --sshlogin a,b,c      FOLDER is one that all machines see
set -euo pipefail
suite=$1 folder=$2 parts=$3; shift 3
mkdir -p "$folder" && folder=$(cd "$folder" && pwd)
# An exit code of a part says what was found there, and the merge tells that of all.
seq "$parts" | parallel "$@" --line-buffer --tag --joblog "$folder/joblog" "
  if [ -e $folder/part-{}/plan.json ]; then
    leasehold suite --resume $folder/part-{} > /dev/null
  else
    leasehold suite $suite --shard {}/$parts --out $folder/part-{} > /dev/null
  fi" || true
rm -rf "$folder/whole"
exec leasehold suite merge "$folder"/part-* --out "$folder/whole"
