#!/bin/sh
# Slurm from Debian's packages, where it is missing; needs root for that. Its services are not started.
set -e
PATH="$PATH:/usr/sbin"
missing=
for program in slurmctld slurmd sbatch munged; do command -v $program > /dev/null || missing=yes; done
if [ -z "$missing" ]; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "error: Slurm is needed: apt-get install slurmctld slurmd slurm-client munge" >&2
  exit 2
fi
apt-get update -qq
RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge
