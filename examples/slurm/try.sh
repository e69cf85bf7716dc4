#!/usr/bin/env bash
# Shows the example whole on one machine: a slurmctld and two slurmd of its own, a job array, one node killed in the middle, its
# task requeued, the parts merged and compared with a run of the suite on this machine alone.
#
#   apt-get install slurmctld slurmd slurm-client munge
#   examples/slurm/try.sh [FOLDER]          as root; LEASEHOLD=PATH for another leasehold than that of PATH
#
# Each "node" is a PID namespace, so that killing its first process ends all that runs there, as a power cut would.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"/{munge,ctld,bin,results}
folder=$(cd "$folder" && pwd)
ln -sf "$(command -v "${LEASEHOLD:-leasehold}")" "$folder/bin/leasehold"
export PATH=$folder/bin:$PATH SLURM_CONF=$folder/slurm.conf
parts=4
declare -A pid

finish() { for name in "${!pid[@]}"; do kill -KILL "${pid[$name]}" 2>/dev/null || true; done; }
trap finish EXIT
say() { echo "[$(date +%T)] $*"; }
wait_until() {
  local seconds=$1; shift
  for ((tenths = 0; tenths < seconds * 10; tenths++)); do "$@" && return; sleep 0.1; done
  say "in vain: $*"; exit 1
}

head -c 128 /dev/urandom > "$folder/munge.key" && chmod 400 "$folder/munge.key"
munged --foreground --force --key-file="$folder/munge.key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
  --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" 2> "$folder/munge/stderr" & pid[munged]=$!
cat > "$SLURM_CONF" <<END
ClusterName=try
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=7817
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
StateSaveLocation=$folder/ctld
SlurmctldPidFile=$folder/ctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmdSpoolDir=$folder/spool.%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MailProg=/bin/true
SlurmdTimeout=10
ReturnToService=2
JobRequeue=1
NodeName=a NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=7818 CPUs=1
NodeName=b NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=7819 CPUs=1
PartitionName=all Nodes=a,b Default=YES State=UP
END

start_node() { unshare --pid --fork --mount-proc --kill-child slurmd -D -N "$1" 2> "$folder/slurmd-$1.log" & pid[$1]=$!; }
munge_answers() { [ -S "$folder/munge/socket" ]; }
nodes_are_up() { [ "$(sinfo --noheader --format=%T 2>/dev/null | sort -u)" = idle ]; }
is_half_done() {   # a task on node b that has a result, and has not ended
  task=$(squeue --noheader --nodelist=b --states=RUNNING --format=%a_%i 2>/dev/null | sed 's/.*_//' | head -1)
  [ -n "$task" ] && [ "$(grep -c . "$folder/results/part-$task/cells.jsonl" 2>/dev/null)" = 1 ]
}
is_requeued() { [ "$(squeue --noheader --states=all --jobs="${array}_$task" --format=%T 2>/dev/null)" != RUNNING ]; }
all_ended() { [ -z "$(squeue --noheader --jobs="$array" 2>/dev/null)" ]; }

wait_until 20 munge_answers
slurmctld -D 2> "$folder/slurmctld.log" & pid[slurmctld]=$!
start_node a; start_node b
wait_until 60 nodes_are_up
say "$(sinfo --version): nodes $(sinfo --noheader --Node --format=%N | xargs) are up"

array=$(sbatch --parsable --array=1-$parts --output="$folder/%A_%a.log" \
  --export="ALL,SUITE=$here/try.toml,RESULTS=$folder/results" "$here/suite.sbatch")
merge=$(sbatch --parsable --dependency="afterany:$array" --output="$folder/merge.log" \
  --wrap "leasehold suite merge $folder/results/part-* --out $folder/whole")
say "job array $array of $parts tasks, and job $merge to merge them"

wait_until 300 is_half_done
kill -KILL "${pid[b]}"; wait "${pid[b]}" 2>/dev/null || true
say "node b is dead, with task $task half done:"
cut -d, -f1,2 "$folder/results/part-$task/cells.jsonl"
wait_until 120 is_requeued
state() { scontrol --oneliner show job "${array}_$task" | grep -oE '(JobState|Restarts)=[^ ]*' | xargs; }
say "the controller has noticed: $(state)"
start_node b
wait_until 600 all_ended
say "task $task in the end: $(state)"
cat "$folder/${array}_$task.log"
merged() { [ -e "$folder/whole/report.json" ]; }
wait_until 60 merged
say "merged:"
cat "$folder/merge.log"

say "the same on this machine alone:"
leasehold suite "$here/try.toml" --out "$folder/alone" --jobs 1
leasehold suite diff "$folder/alone" "$folder/whole" || true
python3 - "$folder" <<'END'
import json, sys
of = lambda name: {cell["cell"]: (cell["verdict"], cell["outcome"]) for cell in json.load(open(f"{sys.argv[1]}/{name}/report.json"))["cells"]}
alone, whole = of("alone"), of("whole")
assert alone == whole, {cell: (alone.get(cell), whole.get(cell)) for cell in alone.keys() | whole.keys() if alone.get(cell) != whole.get(cell)}
print(f"{len(alone)} cells, the same verdict in each")
END
